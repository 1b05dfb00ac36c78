package djoser

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// spellings are spellings of one mailbox.
var spellings = []string{
	"ann@bücher.example", "ann@xn--bcher-kva.example", "ANN@BÜCHER.EXAMPLE", "ann@XN--BCHER-KVA.Example", "ann@bu\u0308cher.example",
	"ann@bücher\u3002example", "ann@bücher\uFF0Eexample", "ann@bücher\uFF61example", "ann@bü\u00ADcher.example", "ann@bücher.ｅｘａｍｐｌｅ",
	"ann@bücher.\u212Fxample", "ann@bü\u200Bcher.example", "ann@bücher.exa\uFE0Fmple",
}

// attackSpellings bombs a mailbox under many spellings.
func attackSpellings(t *testing.T) {
	s := serve(t, withModel("required_fields email\nfield email {\nunique\n}"))
	s.JSON("POST", "/auth/register", "", `{"username": "ann", "password": "pw", "email": "`+spellings[0]+`"}`).
		Want(t, 201, `{"email": "ann@xn--bcher-kva.example", "username": "ann"}`)
	token := s.Register("eve", "pw")
	for i, address := range spellings {
		body := fmt.Sprintf(`{"username": "eve%d", "password": "pw", "email": "%s"}`, i, address)
		s.JSON("POST", "/auth/register", "", body).Want(t, 400, `{"email": ["User with this Email address already exists."]}`)
		s.JSON("PATCH", "/auth/me", token, body).Want(t, 400, `{"email": ["User with this Email address already exists."]}`)
		s.JSON("POST", "/auth/password/reset", "", body).Want(t, 200)
	}
	if mails := s.noMoreMails(t); len(mails) != len(spellings) || slices.ContainsFunc(mails, func(m testsite.Mail) bool { return m.To != "ann@xn--bcher-kva.example" }) {
		t.Errorf("%d mails: %v", len(mails), mails)
	}
}

func TestAnAddressIsOneInEverySpelling(t *testing.T) {
	s := serve(t, withModel("username_field email\nrequired_fields"))
	s.JSON("POST", "/auth/register", "", `{"password": "pw", "email": "ann@bücher.example"}`).Want(t, 201)
	var token string
	for _, address := range spellings {
		token = s.token(fmt.Sprintf(`{"password": "pw", "email": "%s"}`, address))
	}
	for _, again := range spellings {
		s.JSON("POST", "/auth/email", token, fmt.Sprintf(`{"new_email": "%s", "current_password": "pw"}`, again)).Want(t, 200)
	}
	for _, other := range []string{"ann@bucher.example", "ann@bücher.example.org", "ann@b\u0131cher.example", "ann@fass.example", "ann@faß.example", "ann@m\u0130ke.example", "ann@mike.example"} {
		s.JSON("POST", "/auth/register", "", fmt.Sprintf(`{"password": "pw", "email": "%s"}`, other)).Want(t, 201)
	}
}

// addressesOfBefore is a store from before addresses had one form. All passwords are pw,
// and the model has the username_field email:
//
//	1 ann@bücher。example, 2 eve@münchen.example, 3 bob@b.example,
//	4 ann@BÜ\u00ADcher.example, 5 eve@xn--mnchen-3ya.example, 6 Bob@example.com
const addressesOfBefore = "testdata/stores/addresses-of-before.backup"

func TestOldAddressesAreFoundInEverySpelling(t *testing.T) {
	model := func(lines string) string { return "user_model {\n" + lines + "\n}\n" + required }
	in := install(t, model("username_field email\nrequired_fields"))
	file, err := filepath.Abs(addressesOfBefore)
	if err != nil {
		t.Fatal(err)
	}
	in.ok("restore", file)
	in.Start()
	login := func(address, pass, stored string) {
		t.Helper()
		token := in.JSON("POST", "/auth/login", "", fmt.Sprintf(`{"email": "%s", "password": "%s"}`, address, pass)).Token(t)
		in.Get("/auth/me", token).Want(t, 200, fmt.Sprintf(`{"email": "%s"}`, stored))
	}
	for _, address := range spellings {
		login(address, "pw", "ann@bücher\u3002example") // the oldest
	}
	login("eve@münchen.example", "pw", "eve@xn--mnchen-3ya.example") // already in today's form
	login("BOB@B.example", "pw", "bob@b.example")
	login("bob@example.com", "pw", "Bob@example.com")

	// An account that had to keep its key can be changed, and gets a new key with another
	// address.
	for _, id := range []string{"id:1", "id:2", "id:4"} {
		in.djoser("new-Pw-1\n", "user", "set-password", id).Want(t, 0)
	}
	in.ok("check")
	in.ok("user", "edit", "id:4", "--email", "cid@bücher.example")
	login("cid@xn--bcher-kva.example", "new-Pw-1", "cid@xn--bcher-kva.example")
	in.ok("check")

	// Over another model, too.
	for _, lines := range []string{"username_field email\nrequired_fields phone\nfield phone char {\nmax_length 9\nunique\n}", "username_field email\nrequired_fields"} {
		in.Stop()
		in.configure(model(lines))
		in.Start()
		in.JSON("POST", "/auth/login", "", `{"email": "eve@xn--mnchen-3ya.example", "password": "pw"}`).Token(t)
		in.ok("check")
	}
}

// attackQuoted registers addresses that are markup or look like several addresses.
func attackQuoted(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("eve", "pw")
	for _, address := range []string{`"<script>"@x.example`, `"<x>,y"@corp.example`, `"a@corp.example,"@x.example`, `"\r\n"@x.example`} {
		body := fmt.Sprintf(`{"username": "bob", "password": "pw", "email": %q}`, address)
		for path, method := range map[string]string{"/auth/register": "POST", "/auth/me": "PATCH", "/auth/password/reset": "POST"} {
			s.JSON(method, path, token, body).Want(t, 400, `{"email": ["Enter a valid email address."]}`)
		}
	}
}
