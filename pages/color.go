package pages

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// rgb is a color of sRGB.
type rgb struct{ r, g, b uint8 }

const defaultColor = "#1f5fd0" // that of the built-in mails

var (
	white    = rgb{0xff, 0xff, 0xff}
	darkCard = rgb{0x21, 0x24, 0x28} // the background of the card in dark mode
)

// minContrast is the least contrast of text. Source: WCAG 2.2, 1.4.3.
const minContrast = 4.5

// parseColor parses a color such as #205090. In a Caddyfile # begins a comment unless it is
// quoted, so it may be left out.
func parseColor(s string) (c rgb, ok bool) {
	s = strings.TrimPrefix(s, "#")
	n, err := strconv.ParseUint(s, 16, 32)
	if len(s) != 6 || err != nil {
		return c, false
	}
	return rgb{uint8(n >> 16), uint8(n >> 8), uint8(n)}, true
}

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// checkColor refuses a color on which white text can't be read.
func checkColor(s string) error {
	c, ok := parseColor(s)
	if !ok {
		return fmt.Errorf("color is '%s': it must be such as \"#205090\", in quotes, or 205090", s)
	}
	if got := contrast(c, white); got < minContrast {
		return fmt.Errorf("color %s has a contrast of %.1f with white, and text needs %.1f: use a darker one, such as %s",
			s, math.Floor(got*10)/10, minContrast, c.toward(rgb{}, white))
	}
	return nil
}

// contrast returns the contrast ratio of two colors, from 1 to 21. Source: WCAG 2.2.
func contrast(a, b rgb) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func (c rgb) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}

// toward mixes the color with another one until it can be read on a background.
func (c rgb) toward(other, background rgb) rgb {
	mixed := c
	for percent := 0; percent <= 100 && contrast(mixed, background) < minContrast; percent++ {
		mix := func(a, b uint8) uint8 { return uint8((int(a)*(100-percent) + int(b)*percent) / 100) }
		mixed = rgb{mix(c.r, other.r), mix(c.g, other.g), mix(c.b, other.b)}
	}
	return mixed
}
