package authn

import (
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/model"
)

// FuzzAuthorization offers values of the header: what comes out of one is a
// single word behind a scheme that is taken.
func FuzzAuthorization(f *testing.F) {
	a := &Authenticator{Schemes: []string{"Token", "Bearer"}}
	for _, s := range []string{"Token 0123456789012345678901234567890123456789", "bearer  x ", "Token", "Token a b", "Basic eDp5", "\v\ttoken\f\xff", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		digest, found, err := a.credentials([]string{header})
		words := strings.FieldsFunc(header, func(r rune) bool { return strings.ContainsRune(whiteSpace, r) })
		taken := len(words) > 0 && a.takesScheme(words[0])
		var want model.Digest
		isToken := false
		if len(words) == 2 {
			want, isToken = model.DigestOf(words[1])
		}
		switch {
		case !taken && (found || err != nil):
			t.Errorf("%q: %t, %v", header, found, err)
		case taken && (found != isToken || (err == nil) != isToken):
			t.Errorf("%q: %t, %v", header, found, err)
		case found && digest != want:
			t.Errorf("%q: another digest", header)
		}
	})
}
