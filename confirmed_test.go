package djoser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

// attackForeignAddress enters another person's address, so that a back end that
// identifies people by address mistakes the attacker for that person.
func attackForeignAddress(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)+
		"\n@m {\npath /seen\ndjoser_token\n}\nrespond @m \"<{http.auth.user.email}>\""))
	token := s.Register("mallory", "secret")
	s.JSON(http.MethodPatch, "/auth/me", token, `{"email": "victim@example.com"}`).Want(t, 200)
	if got := s.Get("/api/x", token).Echo(t).Header.Get("Remote-Email"); got != "" {
		t.Errorf("the back end is told the address %q, which nobody has confirmed", got)
	}
	if got := s.Get("/seen", token).Body; got != "<>" {
		t.Errorf("the placeholder has the address %q, which nobody has confirmed", got)
	}
}

func TestConfirmedAddressesReachBackEnds(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)+
		"\ndjoser_auth /all/* {\nunconfirmed_email on\n}\nreverse_proxy /all/* "+testsite.BackEnd(t)))
	token := s.Register("alice", "secret")
	email := func(path, want string) {
		t.Helper()
		if got := s.Get(path, token).Echo(t).Header.Get("Remote-Email"); got != want {
			t.Errorf("%s: Remote-Email is %q, want %q", path, got, want)
		}
	}
	email("/api/x", "")
	email("/all/x", "alice@example.com")
	change(t, "alice", func(a *model.Account) { a.EmailConfirmed = true })
	email("/api/x", "alice@example.com")
	s.JSON(http.MethodPatch, "/auth/me", token, `{"email": "other@example.com"}`).Want(t, 200)
	email("/api/x", "")
}

func TestAnUnconfirmedAddressIsNoUsernameForBackEnds(t *testing.T) {
	realm := strings.Replace(realmAnd(""), required, required+"\nuser_model {\nusername_field email\n}\n", 1)
	s := serve(t, realm+"djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)+
		"\ndjoser_auth /one/* {\nuser victim@example.com\n}\nreverse_proxy /one/* "+testsite.BackEnd(t))
	s.JSON(http.MethodPost, "/auth/register", "", `{"email": "victim@example.com", "password": "secret"}`).Want(t, 201)
	token := s.token(`{"email": "victim@example.com", "password": "secret"}`)
	header := s.Get("/api/x", token).Echo(t).Header
	if got := header.Get("Remote-User") + header.Get("Remote-Name") + header.Get("Remote-Email"); got != "" {
		t.Errorf("the back end is told %q, which nobody has confirmed", got)
	}
	s.Get("/one/x", token).Want(t, 403)
}

func TestAnAdministratorConfirmsAddresses(t *testing.T) {
	in := install(t, required)
	for _, name := range []string{"alice", "bob"} {
		in.ok("user", "add", name, "--email", name+"@example.com", "--unusable")
	}
	in.ok("user", "add", "carl", "--unusable")
	if out := in.ok("user", "confirm-email", "--all"); !strings.Contains(out, "of 0 users") {
		t.Errorf("addresses that an administrator gave were unconfirmed: %s", out)
	}
	if out := in.ok("user", "confirm-email", "alice", "bob"); !strings.Contains(out, "alice is confirmed") {
		t.Error(out)
	}
}

func TestAResetConfirmsTheAddress(t *testing.T) {
	s := serve(t, realmAnd(""))
	s.Register("alice", "secret")
	change(t, "alice", func(a *model.Account) {
		if a.EmailConfirmed {
			t.Error("a registration confirmed its own address")
		}
	})
	s.Post("/auth/password/reset", "", "email", "alice@example.com").Want(t, 200)
	link := s.linkTo(t, "alice@example.com")
	s.JSON("POST", "/auth/password/reset/confirm", "", strings.TrimSuffix(link, "}")+`, "new_password": "another-Secret"}`).Want(t, 200)
	change(t, "alice", func(a *model.Account) {
		if !a.EmailConfirmed {
			t.Error("a reset by mail didn't confirm the address")
		}
	})
}
