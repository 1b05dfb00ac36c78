package djoser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// v2Settings are those of tests of djoser 2's layout.
const v2Settings = `
endpoints classic v2
username_reset_confirm_url "#/username/reset/confirm/{uid}/{token}"
`

func serveV2(t *testing.T, more string) *server {
	t.Helper()
	return serve(t, site(required+v2Settings+more))
}

func TestBothLayoutsServeTheSameAccounts(t *testing.T) {
	s := serveV2(t, "")
	s.Post("/auth/users", "", "username", "ann", "password", "pw", "email", "ann@a.example").
		Want(t, http.StatusCreated, `{"email": "ann@a.example", "id": 1, "username": "ann"}`)
	token := s.Login("ann", "pw")
	s.Get("/auth/users/me", token).Want(t, http.StatusOK, `{"email": "ann@a.example", "id": 1, "username": "ann"}`)
	s.Post("/auth/token/logout/", token).Want(t, http.StatusNoContent)
	s.Get("/auth/me", token).Want(t, http.StatusUnauthorized, `{"detail": "Invalid token"}`)
	s.Get("/auth/users/me/", token).Want(t, http.StatusUnauthorized, `{"detail": "Invalid token."}`)
	// The classic layout is there by default, and alone.
	s = serve(t, site(required))
	s.Post("/auth/users/", "", "username", "ann", "password", "pw").Want(t, http.StatusNotFound)
}

func TestPeopleLogInWithTheLoginField(t *testing.T) {
	s := serveV2(t, "login_field email\n")
	s.Post("/auth/users/", "", "username", "ann", "password", "pw", "email", "Ann@a.example").Want(t, http.StatusCreated)
	s.Post("/auth/token/login/", "", "email", "ann@A.example", "password", "pw").Want(t, http.StatusOK)
	s.Post("/auth/token/login/", "", "email", "ann@a.example", "password", "x").
		Want(t, http.StatusBadRequest, `{"non_field_errors": ["Unable to log in with provided credentials."]}`)
	s.Post("/auth/token/login/", "", "username", "ann", "password", "pw").Want(t, http.StatusBadRequest)
	s.Post("/auth/token/login/", "", "email", "", "password", "pw").Want(t, http.StatusBadRequest)
	s.Login("ann", "pw") // the classic log-in is by username
}

// With several accounts on one address, the log-in is that of the one that has confirmed
// it, not of one that only claims it.
func TestLoginByAddressIsOfTheAccountThatConfirmedIt(t *testing.T) {
	s := serveV2(t, "login_field email\n")
	for _, name := range []string{"eve", "ann"} {
		s.Post("/auth/users/", "", "username", name, "password", name+"-pw", "email", "ann@a.example").Want(t, http.StatusCreated)
	}
	logIn := func(pass string) int {
		return s.Post("/auth/token/login/", "", "email", "ann@a.example", "password", pass).Status
	}
	if logIn("eve-pw") != http.StatusOK || logIn("ann-pw") != http.StatusBadRequest {
		t.Error("not the oldest account's")
	}
	r := runningRealm(t, "default")
	if _, err := r.accounts.ConfirmEmail(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if logIn("eve-pw") != http.StatusBadRequest || logIn("ann-pw") != http.StatusOK {
		t.Error("not the confirmed account's")
	}
}

// settingsAreRefused checks that lines of settings are refused, when they are parsed or when
// the configuration is loaded.
func settingsAreRefused(t *testing.T, lines, want string) {
	t.Helper()
	text := ":8080 {\n" + site(required+lines+"\n") + "\n}"
	_, err := testsite.Adapt(text)
	if err == nil {
		err = validate(t, text)
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want an error with %q", lines, err, want)
	}
}

func TestSettingsOfDjoser2ThatCannotWorkAreRefused(t *testing.T) {
	for lines, want := range map[string]string{
		"endpoints v3":                                      "unknown layout v3: use classic, v2, or both",
		"endpoints v2":                                      "username_reset_confirm_url is missing",
		"username_reset_confirm_url \"#/x\"":                "{uid}",
		"login_field phone":                                 "login_field phone is not a field",
		"login_field first_name":                            "must be unique",
		"permissions {\n\tuser AllowAny\n}":                 "user can't be AllowAny",
		"permissions {\n\tuser_delete AllowAny\n}":          "user_delete can't be AllowAny",
		"permissions {\n\tuser_create Everybody\n}":         "unknown class Everybody",
		"permissions {\n\tcreate IsAdminUser\n}":            "unknown action create",
		"permissions {\n\tuser_create\n}":                   "user_create needs a value",
		"hide_users perhaps":                                "perhaps",
		"endpoints v2\ndisable password_reset\nmailer none": "mailer",
	} {
		settingsAreRefused(t, lines, want)
	}
	if err := validate(t, site(required+"endpoints v2\ndisable username_reset\n")); err != nil {
		t.Error(err)
	}
}

// Permissions hold in both layouts, and nothing that is for an account works without one.
func TestPermissionsHoldInEveryLayout(t *testing.T) {
	s := serveV2(t, "permissions {\nuser_create IsAdminUser\nset_password AllowAny\nuser CurrentUserOrAdminOrReadOnly\nuser_list AllowAny\n}\nhide_users off\n")
	for _, path := range []string{"/auth/register", "/auth/users/"} {
		s.Post(path, "", "username", "ann", "password", "pw").Want(t, http.StatusUnauthorized)
	}
	s.Post("/auth/users/set_password/", "", "new_password", "new", "current_password", "pw").Want(t, http.StatusUnauthorized)
	s.Get("/auth/users/", "").Want(t, http.StatusOK, `[]`)
}

func TestListsOfUsersHavePages(t *testing.T) {
	s := serveV2(t, "hide_users off\n")
	for _, name := range []string{"ann", "bob", "cid"} {
		s.Post("/auth/users/", "", "username", name, "password", "pw").Want(t, http.StatusCreated)
	}
	token := s.Login("ann", "pw")
	a := s.Get("/auth/users/?limit=1&offset=1", token)
	a.Want(t, http.StatusOK, `[{"email": "", "id": 2, "username": "bob"}]`)
	if link := a.Header.Get("Link"); link != `</auth/users/?limit=1&offset=2>; rel="next"` {
		t.Errorf("Link: %s", link)
	}
	a = s.Get("/auth/users/?limit=1&offset=2", token)
	a.Want(t, http.StatusOK, `[{"email": "", "id": 3, "username": "cid"}]`)
	if link := a.Header.Get("Link"); link != "" {
		t.Errorf("Link: %s", link)
	}
	s.Get("/auth/users/?limit=-1&offset=x", token).Want(t, http.StatusOK)
}

// A link to choose a username doesn't choose a password, nor the other way round.
func TestLinksOfDjoser2HaveOnePurpose(t *testing.T) {
	s := serveV2(t, "")
	s.Post("/auth/users/", "", "username", "ann", "password", "pw", "email", "ann@a.example").Want(t, http.StatusCreated)
	link := func(path string, nth int) (uid, token string) {
		t.Helper()
		s.Post(path, "", "email", "ann@a.example").Want(t, http.StatusNoContent)
		mails := s.waitMails(t, nth)
		return mails[nth-1].LinkToken()
	}
	uid, token := link("/auth/users/reset_username/", 1)
	s.Post("/auth/users/reset_password_confirm/", "", "uid", uid, "token", token, "new_password", "new").
		Want(t, http.StatusBadRequest, `{"token": ["Invalid token for given user."]}`)
	s.Post("/auth/users/activation/", "", "uid", uid, "token", token).Want(t, http.StatusBadRequest)
	s.Post("/auth/users/reset_username_confirm/", "", "uid", uid, "token", token, "new_username", "anna").Want(t, http.StatusNoContent)
	s.Login("anna", "pw")
	// It confirms no address: who knows the password may have claimed it.
	r := runningRealm(t, "default")
	if acc, err := r.accounts.Find(t.Context(), "anna"); err != nil || acc.EmailConfirmed {
		t.Errorf("%+v, %v", acc, err)
	}
}
