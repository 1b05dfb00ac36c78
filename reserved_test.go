package djoser

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

// rename changes the username of the token's account.
func (s *server) rename(token, name string) answer {
	s.T.Helper()
	return s.Post("/auth/username", token, "new_username", name, "current_password", "pw")
}

const nameTaken = `{"username": ["User with this Username already exists."]}`

func attackFormerName(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+testsite.BackEnd(t)))
	bob, mallory := s.Register("bob", "pw"), s.Register("mallory", "pw")
	s.rename(bob, "robert").Want(t, 200)

	s.rename(mallory, "bob").Want(t, 400, nameTaken)
	s.Post("/auth/register", "", "username", "bob", "password", "pw").Want(t, 400, nameTaken)
	// Full-width letters, which are normalised.
	s.Post("/auth/register", "", "username", "ｂｏｂ", "password", "pw").Want(t, 400, nameTaken)
	s.Post("/auth/login", "", "username", "bob", "password", "pw").Want(t, 400)
	for token, want := range map[string][2]string{bob: {"robert", "1"}, mallory: {"mallory", "2"}} {
		h := s.Get("/api/x", token).Echo(t).Header
		if got := [2]string{h.Get("Remote-User"), h.Get("Remote-Id")}; got != want {
			t.Errorf("Remote-User and Remote-Id are %q, want %q", got, want)
		}
	}

	s.rename(bob, "bob").Want(t, 200)
	s.Login("bob", "pw")
	s.rename(mallory, "robert").Want(t, 400, nameTaken)
	s.Post("/auth/login", "", "username", "robert", "password", "pw").Want(t, 400)
}

func attackFormerAddress(t *testing.T) {
	s := serve(t, site(required+"user_model {\nusername_field email\n}\n"))
	for _, name := range []string{"bob", "mallory"} {
		s.Post("/auth/register", "", "email", name+"@example.com", "password", "pw").Want(t, 201)
	}
	login := func(email string) answer {
		return s.Post("/auth/login", "", "email", email, "password", "pw")
	}
	token := func(email string) string {
		_, text, _ := strings.Cut(login(email).Body, `": "`)
		return strings.TrimSuffix(text, `"}`)
	}
	change := func(token, email string) answer {
		return s.Post("/auth/email", token, "new_email", email, "current_password", "pw")
	}
	bob, mallory := token("bob@example.com"), token("mallory@example.com")
	change(bob, "robert@example.com").Want(t, 200)
	change(mallory, "BOB@example.com").Want(t, 400)
	login("bob@example.com").Want(t, 400)
	change(bob, "bob@example.com").Want(t, 200)
	login("bob@example.com").Want(t, 200)
}

// attackReserveOthers keeps people from registering their own addresses.
func attackReserveOthers(t *testing.T) {
	s := serve(t, site(required+"reserve_usernames 90d\nuser_model {\nfield email email {\nunique\n}\n}\n"))
	mallory := s.Register("mallory", "pw")
	for i := range model.MaxReserved + 2 {
		s.JSON("PATCH", "/auth/me", mallory, fmt.Sprintf(`{"email": "person%d@b.example"}`, i)).Want(t, 200)
	}
	register := func(name, email string) answer {
		return s.Post("/auth/register", "", "username", name, "password", "pw", "email", email)
	}
	register("person3", "person3@b.example").Want(t, 201)

	// A confirmed address was hers, and stays reserved.
	change(t, "mallory", func(a *model.Account) { a.EmailConfirmed = true })
	s.JSON("PATCH", "/auth/me", mallory, `{"email": "person4@b.example"}`).Want(t, 200)
	register("other", fmt.Sprintf("person%d@b.example", model.MaxReserved+1)).Want(t, 400)

	// Deleting her account doesn't keep an address from its owner.
	r := runningRealm(t, "default")
	if _, err := r.accounts.Remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	register("person4", "person4@b.example").Want(t, 201)
	register("other", fmt.Sprintf("person%d@b.example", model.MaxReserved+1)).Want(t, 400)
	register("mallory", "").Want(t, 400)
}

func TestReservedNamesAreLimited(t *testing.T) {
	s := serve(t, site(required))
	bob, mallory := s.Register("bob", "pw"), s.Register("mallory", "pw")
	for i := range model.MaxReserved {
		s.rename(bob, fmt.Sprint("bob", i)).Want(t, 200)
	}
	s.rename(bob, "more").Want(t, 400, `{"username": ["You have given up too many names: take one of them again."]}`)
	s.rename(bob, "bob").Want(t, 200)
	s.rename(bob, "bob3").Want(t, 200)
	s.rename(mallory, "bob").Want(t, 400, nameTaken)
	s.JSON("PATCH", "/auth/me", bob, `{"email": "other@example.com"}`).Want(t, 200)
	// An unchanged value is not given up.
	for range model.MaxReserved + 1 {
		s.rename(bob, "bob3").Want(t, 200)
	}
}

func TestAnAdministratorFreesNames(t *testing.T) {
	in := install(t, required+"reserve_usernames 90d\n")
	in.Start()
	bob := in.Register("bob", "pw")
	in.Register("carol", "pw")
	(&server{in.Site}).rename(bob, "robert").Want(t, 200)
	taken := func(name string, status int) {
		t.Helper()
		in.Post("/auth/register", "", "username", name, "password", "pw").Want(t, status)
	}
	in.djoser("", "user", "show", "robert").Want(t, 0, "reserved username", "bob")
	in.djoser("", "user", "show", "bob").Want(t, 3)
	in.ok("user", "delete", "carol", "--yes")
	taken("carol", 400)
	taken("bob", 400)
	in.ok("check")

	// Reserved names survive a backup.
	backup := filepath.Join(in.Dir, "backup")
	in.ok("backup", backup)
	in.Stop()
	restored := install(t, required)
	restored.ok("restore", backup)
	restored.Start()
	for _, name := range []string{"bob", "carol"} {
		restored.Post("/auth/register", "", "username", name, "password", "pw").Want(t, 400, nameTaken)
	}

	in.Start()
	in.ok("user", "free-name", "bob")
	taken("bob", 201)
	if status, text := in.ask(http.MethodPost, "default/free", `{"name": "carol", "field": "username"}`); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	taken("carol", 201)
	in.djoser("", "user", "free-name", "carol").Want(t, 1, `the username \"carol\" is not reserved`)
	in.djoser("", "user", "free-name", "x", "--field", "first_name").Want(t, 1)
	in.ok("user", "edit", "robert", "--name", "rob")
	taken("robert", 400) // also after an administrator's change
	in.ok("check")
}

func TestADeletedAccountFreesItsNameByDefault(t *testing.T) {
	in := install(t, required)
	in.Start()
	bob := in.Register("bob", "pw")
	(&server{in.Site}).rename(bob, "robert").Want(t, 200)
	in.ok("user", "delete", "robert", "--yes")
	for _, name := range []string{"bob", "robert"} {
		in.Post("/auth/register", "", "username", name, "password", "pw").Want(t, 201)
	}
}

func TestTheIDIsReadOnly(t *testing.T) {
	s := serve(t, site(required+"user_model {\nrequired_fields id email\n}\n"))
	s.Post("/auth/register", "", "username", "first", "password", "pw").Want(t, 201, `{"id": 1, "email": "", "username": "first"}`)
	s.JSON("POST", "/auth/register", "", `{"username": "bob", "password": "pw", "id": 77}`).Want(t, 201, `{"id": 2, "email": "", "username": "bob"}`)
	token := s.Login("bob", "pw")
	for _, a := range []answer{
		s.JSON("PATCH", "/auth/me", token, `{"id": 1}`),
		s.JSON("PUT", "/auth/me", token, `{"id": 1, "email": ""}`),
		s.Get("/auth/me", token),
	} {
		a.Want(t, 200, `{"id": 2, "email": "", "username": "bob"}`)
	}
	a := s.Do("OPTIONS", "/auth/me", "", "Authorization", "Token "+token)
	if a.Want(t, 200); !strings.Contains(a.Body, `"id": {"label": "ID", "read_only": true, "required": false, "type": "integer"}`) {
		t.Error(a.Body)
	}
}
