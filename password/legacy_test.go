package password

import (
	"strings"
	"testing"
)

// Made with crypt(3): of "0123456789" eight times over, of which it reads 72
// bytes, and of "a".
const (
	bcryptOfLong = `bcrypt$$2b$04$abcdefghijklmnopqrstuum2G75IXDN/xsgbNa/hCiPSKyIHQd70S`
	bcryptOfA    = `bcrypt$$2b$04$abcdefghijklmnopqrstuuMFdJu9yVgmagVAIC24fOZkaFqd3s9JC`
)

func TestBcryptTakesNoMoreThanItReads(t *testing.T) {
	long := strings.Repeat("0123456789", 8)
	for _, test := range []struct {
		encoded, password string
		ok                bool
	}{
		{bcryptOfLong, long[:72], true},
		{bcryptOfLong, long[:71], false},
		{bcryptOfLong, long[:73], false},
		{bcryptOfLong, long, false},
		{bcryptOfA, "a", true},
		{bcryptOfA, "a\x00a", false}, // the same to bcrypt
		{bcryptOfA, "a\x00", false},
		{bcryptOfA, "", false},
	} {
		if ok, _, err := quick.Verify(test.encoded, test.password); ok != test.ok || err != nil {
			t.Errorf("%q: ok %t, %v", test.password, ok, err)
		}
	}
}

func TestBcryptSHA256ReadsTheWholePassword(t *testing.T) {
	const encoded = `bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuhvK7XdV8JtC2nk31L1QuqKFRHB.7yKy`
	long := strings.Repeat("0123456789", 8)
	if ok, _, err := quick.Verify(encoded, long); !ok || err != nil {
		t.Errorf("80 bytes: ok %t, %v", ok, err)
	}
	for _, other := range []string{long[:79], long[:72], long + "0"} {
		if ok, _, err := quick.Verify(encoded, other); ok || err != nil {
			t.Errorf("%d bytes: ok %t, %v", len(other), ok, err)
		}
	}
}
