package django

import (
	"strings"
	"testing"
	"time"
)

func TestTimesOfPythonAreRead(t *testing.T) {
	for value, want := range map[any]string{
		300.0: "5m", 5400.0: "1h30m", 86400.0: "1d", 90.5: "1m30s", 3661.0: "1h1m1s", "P0DT00H05M00S": "5m", "P30DT00H00M00S": "30d", "P1DT12H00M00S": "36h",
		"P0DT00H00M30.500000S": "30s", "P1D": "1d", "PT5M": "5m", "0:05:00": "5m", "1 day, 0:00:00": "1d", "7 days, 1:00:00": "169h", "0:00:01.500000": "1s",
		0.0: "", -1.0: "", "-P1DT00H00M00S": "", "-1 day, 23:59:59": "", "P": "", "": "", "5m": "", "P999999999DT00H00M00S": "", 1e300: "", true: "",
		"P" + strings.Repeat("9", 400) + "D": "",
	} {
		got := ""
		if d, err := parseDuration(value); err == nil {
			got = writeDuration(d)
		}
		if got != want {
			t.Errorf("%v is %q, want %q", value, got, want)
		}
	}
}

func FuzzConvertSettings(f *testing.F) {
	f.Add([]byte(`{"SEND_ACTIVATION_EMAIL": true, "ACTIVATION_URL": "a/{uid}/{token}", "LOGIN_FIELD": "phone", "PERMISSIONS": {"user": ["x"]}}`))
	f.Add([]byte(`{"DJOSER": {"EMAIL": {"a": 1}}, "SIMPLE_JWT": {"ACCESS_TOKEN_LIFETIME": "P0DT00H05M00S", "AUTH_HEADER_TYPES": ["JWT"]}, "EMAIL_HOST": "a", "EMAIL_PORT": 1e9}`))
	f.Fuzz(func(t *testing.T, dump []byte) {
		c, err := ConvertSettings(dump)
		if err != nil {
			return
		}
		for _, line := range strings.Split(strings.TrimSuffix(c.Caddyfile, "\n"), "\n")[1:] {
			if !strings.HasPrefix(line, "\t") && line != "}" {
				t.Errorf("%q breaks out of the block\n%s", line, c.Caddyfile)
			}
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	f.Add("P0DT00H05M00S")
	f.Add("1 day, 0:00:00")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseDuration(text); err == nil && (d < time.Second || d > maxDuration) {
			t.Errorf("%q is %s", text, d)
		}
	})
}
