package djoser

import (
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
)

// attackDjangoTiming looks for accounts from Django: their hashes take longer than the
// check for an unknown name.
func attackDjangoTiming(t *testing.T) {
	s := serve(t, site(required))
	s.Register("old", "pw")
	s.Register("new", "pw")
	const hash = "pbkdf2_sha256$100000$salt$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	change(t, "old", func(a *model.Account) { a.Password = hash })
	for _, name := range []string{"new", "nobody", "old"} {
		s.Post("/auth/login", "", "username", name, "password", "wrong").Want(t, 400)
	}
	quickest := time.Hour // check of the hash
	for range 3 {
		begin := time.Now()
		if _, _, err := (password.Argon2id{}).Verify(hash, "wrong"); err != nil {
			t.Fatal(err)
		}
		quickest = min(quickest, time.Since(begin))
	}
	for _, name := range []string{"old", "new", "nobody"} {
		begin := time.Now()
		s.Post("/auth/login", "", "username", name, "password", "wrong").Want(t, 400)
		if took := time.Since(begin); took < quickest {
			t.Errorf("%s is refused after %v, a hash of Django takes %v", name, took, quickest)
		}
	}
}
