package mfa

import (
	"encoding/base64"
	"encoding/xml"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestCodesOfTheRFC has the test vectors of RFC 6238, appendix B, for SHA-1, cut to six
// digits.
func TestCodesOfTheRFC(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if step, ok := Check(secret, code, time.Unix(at, 0)); !ok || step != uint64(at/period) {
			t.Errorf("%s at %d: %d, %t", code, at, step, ok)
		}
	}
}

// TestCountersOfTheRFC has those of RFC 4226, appendix D.
func TestCountersOfTheRFC(t *testing.T) {
	for counter, code := range strings.Fields("755224 287082 359152 969429 338314 254676 287922 162583 399871 520489") {
		if got := hotp([]byte("12345678901234567890"), uint64(counter)); got != code {
			t.Errorf("%d: %s, want %s", counter, got, code)
		}
	}
}

func TestACodeIsGoodForOneStepOfDrift(t *testing.T) {
	secret := NewSecret()
	now := time.Unix(1_800_000_000, 0)
	for steps, want := range map[int]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		at := now.Add(time.Duration(steps) * period * time.Second)
		code := hotp(secret, uint64(at.Unix()/period))
		if step, ok := Check(secret, code, now); ok != want || ok && step != uint64(at.Unix()/period) {
			t.Errorf("%d steps: %t at %d", steps, ok, step)
		}
	}
	good := hotp(secret, uint64(now.Unix()/period))
	for code, want := range map[string]bool{
		good[:3] + " " + good[3:]: true, "": false, good[:5]: false, good + "0": false, "-" + good[1:]: false, "abcdef": false,
	} {
		if _, ok := Check(secret, code, now); ok != want {
			t.Errorf("%q: %t", code, ok)
		}
	}
	if _, ok := Check(nil, hotp(nil, uint64(now.Unix()/period)), now); ok {
		t.Error("no secret is a secret")
	}
}

func TestTheURLNamesSiteAndAccount(t *testing.T) {
	secret := []byte("12345678901234567890")
	for _, c := range [][2]string{{"Frontend", "ann"}, {"Ann & Bob: Wiki?", "a+b@example.com"}, {"Bücher/#", "ä:&secret=x"}} {
		u, err := url.Parse(URL(c[0], c[1], secret))
		if err != nil {
			t.Fatal(err)
		}
		site := strings.ReplaceAll(c[0], ":", "")
		q := u.Query()
		if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/"+site+":"+c[1] || q.Get("issuer") != site || q.Get("secret") != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" || len(q) != 2 {
			t.Errorf("%s", u)
		}
	}
}

func TestRecoveryCodesAreReadAsPeopleWriteThem(t *testing.T) {
	key := []byte("key")
	codes := NewRecoveryCodes()
	seen := make(map[string]bool)
	var digests [][32]byte
	for _, code := range codes {
		if !regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{6}-[0-9a-hjkmnp-tv-z]{6}$`).MatchString(code) || seen[code] {
			t.Errorf("code %s", code)
		}
		seen[code] = true
		d, ok := RecoveryDigest(key, 7, code)
		if !ok {
			t.Fatal(code)
		}
		digests = append(digests, d)
	}
	if len(codes) != RecoveryCodes {
		t.Errorf("%d codes", len(codes))
	}
	want, _ := RecoveryDigest(key, 7, "011234-abcdef")
	for _, spelled := range []string{"011234abcdef", "OIL234 ABCDEF", " 0-1-1-2-3-4-a-b-c-d-ef"} {
		if d, ok := RecoveryDigest(key, 7, spelled); !ok || d != want {
			t.Errorf("%q is another code", spelled)
		}
	}
	for _, none := range []string{"", "123456", "1234567", "0123456789abcdefg", "011234-abcde\x00", "011234-abcdé", strings.Repeat("0", 100)} {
		if _, ok := RecoveryDigest(key, 7, none); ok {
			t.Errorf("%q is a code", none)
		}
	}
	// django-otp's have eight characters of another alphabet.
	imported, ok := RecoveryDigest(key, 7, "u7mol2xq")
	if again, _ := RecoveryDigest(key, 7, "U7MO L2XQ"); !ok || again != imported {
		t.Error("a code of django-otp is none, or another in upper case")
	}
	for i, d := range digests {
		if Find(digests, d) != i {
			t.Errorf("code %d isn't found", i)
		}
	}
	others, _ := RecoveryDigest(key, 8, codes[0])
	if Find(digests, want) >= 0 || Find(digests, others) >= 0 {
		t.Error("a code that isn't there is found")
	}
}

func TestTheQRCodeIsAnImage(t *testing.T) {
	svg, err := QR(URL("Frontend", "ann@example.com", NewSecret()))
	if err != nil {
		t.Fatal(err)
	}
	var image struct {
		XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
		Path    []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal([]byte(svg), &image); err != nil || len(image.Path) != 2 || strings.Contains(svg, "M0 4") || len(svg) > 32<<10 {
		t.Errorf("%v in %d bytes: %.300s", err, len(svg), svg)
	}
	text, _ := strings.CutPrefix(DataURL(svg), "data:image/svg+xml;base64,")
	if decoded, err := base64.StdEncoding.DecodeString(text); err != nil || string(decoded) != svg {
		t.Error(err)
	}
	if _, err := QR(strings.Repeat("x", 5000)); err == nil {
		t.Error("a text that no code can hold")
	}
}

func FuzzCodes(f *testing.F) {
	secret := NewSecret()
	now := time.Unix(1_800_000_000, 0)
	for _, seed := range []string{hotp(secret, uint64(now.Unix()/period)), "123 456", "4k1x9w-7tq2hb", "", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code string) {
		if _, ok := Check(secret, code, now); ok && len(strings.ReplaceAll(code, " ", "")) != digits {
			t.Errorf("%q is taken", code)
		}
		if d, ok := RecoveryDigest(secret, 1, code); ok {
			if again, _ := RecoveryDigest(secret, 1, strings.ToUpper(code)); again != d {
				t.Errorf("%q and its upper case differ", code)
			}
		}
	})
}
