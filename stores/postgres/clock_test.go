package postgres

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

func init() { caddy.RegisterModule(skewed{}) }

// skewed is the store on a machine whose clock is wrong.
type skewed struct {
	Store
	Skew caddy.Duration `json:"skew"`
}

func (skewed) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser.stores.skewed", New: func() caddy.Module { return new(skewed) }}
}

// UnmarshalCaddyfile sets up the store: skewed <duration> postgres ….
func (s *skewed) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	d.NextArg()
	skew, err := time.ParseDuration(d.Val())
	if err != nil {
		return d.WrapErr(err)
	}
	s.Skew = caddy.Duration(skew)
	return s.Store.UnmarshalCaddyfile(d)
}

func (s *skewed) Open(ctx context.Context, location string, log *zap.Logger) (model.Store, error) {
	return s.open(ctx, location, log, func() time.Time { return time.Now().Add(time.Duration(s.Skew)) })
}

// What lives for ten minutes is good at servers whose clocks differ by forty.
func TestServersWhoseClocksDifferAgree(t *testing.T) {
	mails := testsite.StartSMTP(t, "none", nil)
	schema := newSchema()
	var nodes []*testsite.Process
	for _, skew := range []string{"0s", "20m", "-20m"} {
		nodes = append(nodes, startSite(t, "skewed "+skew+" postgres "+sharedServer(t).url()+" {\nschema "+schema+"\n}",
			"endpoints classic v2\ndisable username_reset\njwt\nlink_ttl 10m\ntoken {\nttl 10m\nidle 5m\n}\n", mails))
	}
	nodes[0].Post("/auth/register", "", "username", "ann", "password", "secret", "email", "ann@example.com").Want(t, 201)
	for n, from := range nodes {
		if notes := strings.Contains(from.Log(), "the clock of this machine isn't that of the database"); notes != (n > 0) {
			t.Errorf("server %d says that its clock is another one: %t", n, notes)
		}
		token := from.Login("ann", "secret")
		var pair struct{ Access, Refresh string }
		must(t, json.Unmarshal([]byte(from.JSON("POST", "/auth/jwt/create/", "", `{"username": "ann", "password": "secret"}`).Body), &pair))
		for m, to := range nodes {
			if got := gate(to, token); got != 200 {
				t.Errorf("a token of server %d at server %d: %d", n, m, got)
			}
			if got := to.Do("GET", "/api/", "", "Authorization", "Bearer "+pair.Access).Status; got != 200 {
				t.Errorf("an access token of server %d at server %d: %d", n, m, got)
			}
			if got := to.JSON("POST", "/auth/jwt/refresh/", "", `{"refresh": "`+pair.Refresh+`"}`).Status; got != 200 {
				t.Errorf("a refresh token of server %d at server %d: %d", n, m, got)
			}
		}
		// The link of a mail, which goes out without waiting until it is due.
		from.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 200)
		uid, link, _ := strings.Cut(strings.TrimPrefix(mails.Link(t, n+1, "ann@example.com"), "http://frontend.com/#/password/reset/confirm/"), "/")
		to := nodes[(n+1)%len(nodes)]
		to.Post("/auth/password/reset/confirm", "", "uid", uid, "token", link, "new_password", "secret").Want(t, 200)
	}
}
