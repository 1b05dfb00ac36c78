package pages

import (
	"strings"
	"testing"
)

func TestContrastIsThatOfWCAG(t *testing.T) {
	for _, c := range []struct {
		color string
		want  float64
	}{{"#000000", 21}, {"#ffffff", 1}, {"#767676", 4.54}, {"#1f5fd0", 5.82}} {
		rgb, ok := parseColor(c.color)
		if got := contrast(rgb, white); !ok || got < c.want-0.02 || got > c.want+0.02 {
			t.Errorf("%s: %.2f, want %.2f", c.color, got, c.want)
		}
	}
}

func TestAColorThatCannotBeReadIsRefusedWithADarkerOne(t *testing.T) {
	for _, c := range []string{"#ffcc00", "#ffffff", "#00ff00", "#777777"} {
		err := checkColor(c)
		if err == nil {
			t.Errorf("%s is accepted", c)
			continue
		}
		advice := err.Error()[strings.LastIndex(err.Error(), "#"):]
		if err := checkColor(advice); err != nil {
			t.Errorf("%s: the advice is %s: %v", c, advice, err)
		}
	}
	for _, c := range []string{"", "#", "#fff", "##05090", "#20509g", "#2050900", "#+05090", "red", "#20509\u00e9"} {
		if checkColor(c) == nil {
			t.Errorf("%q is accepted", c)
		}
	}
}

func TestEveryColorCanBeReadInDarkMode(t *testing.T) {
	for _, c := range []string{"#000000", "#000080", "#8b0000", defaultColor, "#767676"} {
		rgb, _ := parseColor(c)
		light := rgb.toward(white, darkCard)
		if contrast(light, darkCard) < minContrast {
			t.Errorf("%s becomes %s", c, light)
		}
	}
}
