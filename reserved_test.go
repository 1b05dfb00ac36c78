package djoser

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// rename changes the username of the account that has the token.
func (s *server) rename(token, name string) answer {
	s.t.Helper()
	return s.post("/auth/username", token, "new_username", name, "current_password", "pw")
}

const nameTaken = `{"username": ["User with this Username already exists."]}`

func attackFormerName(t *testing.T) {
	s := serve(t, realmAnd("djoser_auth /api/*\nreverse_proxy /api/* "+backEnd(t)))
	bob, mallory := s.register("bob", "pw"), s.register("mallory", "pw")
	s.rename(bob, "robert").want(t, 200)

	s.rename(mallory, "bob").want(t, 400, nameTaken)
	s.post("/auth/register", "", "username", "bob", "password", "pw").want(t, 400, nameTaken)
	// Full-width letters, which are stored as others.
	s.post("/auth/register", "", "username", "ｂｏｂ", "password", "pw").want(t, 400, nameTaken)
	s.post("/auth/login", "", "username", "bob", "password", "pw").want(t, 400)
	for token, want := range map[string][2]string{bob: {"robert", "1"}, mallory: {"mallory", "2"}} {
		h := s.get("/api/x", token).echo(t).Header
		if got := [2]string{h.Get("Remote-User"), h.Get("Remote-Id")}; got != want {
			t.Errorf("Remote-User and Remote-Id are %q, want %q", got, want)
		}
	}

	s.rename(bob, "bob").want(t, 200)
	s.login("bob", "pw")
	s.rename(mallory, "robert").want(t, 400, nameTaken)
	s.post("/auth/login", "", "username", "robert", "password", "pw").want(t, 400)
}

func attackFormerAddress(t *testing.T) {
	s := serve(t, site(settings+"user_model {\nusername_field email\n}\n"))
	for _, name := range []string{"bob", "mallory"} {
		s.post("/auth/register", "", "email", name+"@example.com", "password", "pw").want(t, 201)
	}
	login := func(email string) answer {
		return s.post("/auth/login", "", "email", email, "password", "pw")
	}
	token := func(email string) string {
		_, text, _ := strings.Cut(login(email).body, `": "`)
		return strings.TrimSuffix(text, `"}`)
	}
	change := func(token, email string) answer {
		return s.post("/auth/email", token, "new_email", email, "current_password", "pw")
	}
	bob, mallory := token("bob@example.com"), token("mallory@example.com")
	change(bob, "robert@example.com").want(t, 200)
	change(mallory, "BOB@example.com").want(t, 400)
	login("bob@example.com").want(t, 400)
	change(bob, "bob@example.com").want(t, 200)
	login("bob@example.com").want(t, 200)
}

// attackReserveOthers keeps people from registering with their own addresses.
func attackReserveOthers(t *testing.T) {
	s := serve(t, site(settings+"reserve_usernames 90d\nuser_model {\nfield email email {\nunique\n}\n}\n"))
	mallory := s.register("mallory", "pw")
	for i := range maxReserved + 2 {
		s.json("PATCH", "/auth/me", mallory, fmt.Sprintf(`{"email": "person%d@b.example"}`, i)).want(t, 200)
	}
	register := func(name, email string) answer {
		return s.post("/auth/register", "", "username", name, "password", "pw", "email", email)
	}
	register("person3", "person3@b.example").want(t, 201)

	// A confirmed one was hers, and stays so.
	change(t, "mallory", func(a *Account) { a.EmailConfirmed = true })
	s.json("PATCH", "/auth/me", mallory, `{"email": "person4@b.example"}`).want(t, 200)
	register("other", fmt.Sprintf("person%d@b.example", maxReserved+1)).want(t, 400)

	// Nor does her end keep an address from its owner.
	r := runningRealm(t, "default")
	if _, err := r.accounts.remove(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	register("person4", "person4@b.example").want(t, 201)
	register("other", fmt.Sprintf("person%d@b.example", maxReserved+1)).want(t, 400)
	register("mallory", "").want(t, 400)
}

func TestAnAccountGivesUpSoManyNames(t *testing.T) {
	s := serve(t, site(settings))
	bob, mallory := s.register("bob", "pw"), s.register("mallory", "pw")
	for i := range maxReserved {
		s.rename(bob, fmt.Sprint("bob", i)).want(t, 200)
	}
	s.rename(bob, "more").want(t, 400, `{"username": ["You have given up too many names: take one of them again."]}`)
	s.rename(bob, "bob").want(t, 200)
	s.rename(bob, "bob3").want(t, 200)
	s.rename(mallory, "bob").want(t, 400, nameTaken)
	s.json("PATCH", "/auth/me", bob, `{"email": "other@example.com"}`).want(t, 200)
	// What stays the same is not given up.
	for range maxReserved + 1 {
		s.rename(bob, "bob3").want(t, 200)
	}
}

func TestAnAdministratorFreesNames(t *testing.T) {
	in := install(t, settings+"reserve_usernames 90d\n")
	stop := in.start()
	bob := in.register("bob", "pw")
	in.register("carol", "pw")
	in.rename(bob, "robert").want(t, 200)
	taken := func(name string, status int) {
		t.Helper()
		in.post("/auth/register", "", "username", name, "password", "pw").want(t, status)
	}
	in.djoser("", "user", "show", "robert").want(t, 0, "reserved username", "bob")
	in.djoser("", "user", "show", "bob").want(t, 3)
	in.ok("user", "delete", "carol", "--yes")
	taken("carol", 400)
	taken("bob", 400)
	in.ok("check")

	// Names that are kept outlive a backup.
	backup := filepath.Join(in.dir, "backup")
	in.ok("backup", backup)
	stop()
	restored := install(t, settings)
	restored.ok("restore", backup)
	restored.start()
	for _, name := range []string{"bob", "carol"} {
		restored.post("/auth/register", "", "username", name, "password", "pw").want(t, 400, nameTaken)
	}

	in.start()
	in.ok("user", "free-name", "bob")
	taken("bob", 201)
	if status, text := in.ask(http.MethodPost, "default/free", `{"name": "carol", "field": "username"}`); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	taken("carol", 201)
	in.djoser("", "user", "free-name", "carol").want(t, 1, `the username \"carol\" is not reserved`)
	in.djoser("", "user", "free-name", "x", "--field", "first_name").want(t, 1)
	in.ok("user", "edit", "robert", "--name", "rob")
	taken("robert", 400) // an administrator's change leaves it reserved, too
	in.ok("check")
}

func TestAnEndedAccountLeavesItsNameByDefault(t *testing.T) {
	in := install(t, settings)
	in.start()
	bob := in.register("bob", "pw")
	in.rename(bob, "robert").want(t, 200)
	in.ok("user", "delete", "robert", "--yes")
	for _, name := range []string{"bob", "robert"} {
		in.post("/auth/register", "", "username", name, "password", "pw").want(t, 201)
	}
}

func TestTheIDIsAMemberThatIsOnlyShown(t *testing.T) {
	s := serve(t, site(settings+"user_model {\nrequired_fields id email\n}\n"))
	s.post("/auth/register", "", "username", "first", "password", "pw").want(t, 201, `{"id": 1, "email": "", "username": "first"}`)
	s.json("POST", "/auth/register", "", `{"username": "bob", "password": "pw", "id": 77}`).want(t, 201, `{"id": 2, "email": "", "username": "bob"}`)
	token := s.login("bob", "pw")
	for _, a := range []answer{
		s.json("PATCH", "/auth/me", token, `{"id": 1}`),
		s.json("PUT", "/auth/me", token, `{"id": 1, "email": ""}`),
		s.get("/auth/me", token),
	} {
		a.want(t, 200, `{"id": 2, "email": "", "username": "bob"}`)
	}
	a := s.do("OPTIONS", "/auth/me", "", "Authorization", "Token "+token)
	if a.want(t, 200); !strings.Contains(a.body, `"id": {"label": "ID", "read_only": true, "required": false, "type": "integer"}`) {
		t.Error(a.body)
	}
}
