package serializers

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
)

func FuzzCheckNamedToken(f *testing.F) {
	for _, expires := range []string{"", "90d", "1h30m", "2027-01-31", "2027-01-31T12:00:00+02:00", "9999-12-31T23:59:59Z", "2147483647d", "-1d", "2562047h"} {
		f.Add("git", expires, "read", int64(0))
		f.Add("git", expires, "a:b/c", int64(time.Hour))
	}
	now := time.Date(2026, 3, 1, 8, 15, 30, 1, time.UTC)
	f.Fuzz(func(t *testing.T, name, expires, scope string, limit int64) {
		errs := make(drf.FieldErrors)
		rules := &account.Rules{NamedTTL: time.Duration(limit & (1<<56 - 1))}
		token := CheckNamedToken(name, expires, []string{scope, scope}, rules, now, errs)
		if len(errs) > 0 {
			return
		}
		if !token.IsNamed() || len(token.Scopes) != 1 || !account.IsScope(token.Scopes[0]) {
			t.Errorf("%+v", token)
		}
		if rules.NamedTTL > 0 && (token.Expires.IsZero() || token.Expires.After(now.Add(rules.NamedTTL))) {
			t.Errorf("%q lasts until %s", expires, token.Expires)
		}
		if expires != "" && token.Expires.IsZero() {
			t.Errorf("%q is for ever", expires)
		}
		if _, err := json.Marshal(RepresentNew(token, "")); err != nil {
			t.Errorf("%q: %v", expires, err)
		}
	})
}
