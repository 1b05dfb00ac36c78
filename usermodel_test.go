package djoser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"

	"github.com/caddyserver/caddy/v2"
)

// memberSettings are those of a realm with an address as username, and added fields.
const memberSettings = `
	user_model {
		username_field email
		required_fields company age newsletter
		field company char {
			max_length 20
		}
		field age integer
		field newsletter boolean
	}
` + required

// site is a site with djoser under /auth.
func site(settings string) string { return "djoser /auth/* {\n" + settings + "\n}" }

// withModel is a site whose user model has the lines.
func withModel(lines string) string { return site("user_model {\n" + lines + "\n}\n" + required) }

// token logs in with a body and returns the token.
func (s *server) token(body string) string {
	s.T.Helper()
	return s.JSON(http.MethodPost, "/auth/login", "", body).Token(s.T)
}

const (
	ann      = `{"email": "ann@Example.com", "company": "Acme", "age": 42, "newsletter": true, "password": "pw"}`
	annShown = `{"company": "Acme", "age": 42, "newsletter": true, "email": "ann@example.com"}`
	annLogin = `{"email": "ann@example.com", "password": "pw"}`
)

func TestAddressAsUsername(t *testing.T) {
	s := serve(t, site(memberSettings+"\nset_username_retype\n"))
	s.JSON("POST", "/auth/register", "", ann).Want(t, 201, annShown)
	s.JSON("POST", "/auth/register", "", strings.Replace(ann, "ann@", "ANN@", 1)).
		Want(t, 400, `{"email": ["User with this Email address already exists."]}`)
	s.JSON("POST", "/auth/register", "", strings.Replace(ann, "ann@Example.com", "ann", 1)).
		Want(t, 400, `{"email": ["Enter a valid email address."]}`)
	s.JSON("POST", "/auth/login", "", `{"username": "ann@example.com", "password": "pw"}`).
		Want(t, 400, `{"email": ["This field is required."]}`)
	token := s.token(strings.Replace(annLogin, "ann@", "Ann@", 1))

	s.Get("/auth/me", token).Want(t, 200, annShown)
	s.JSON("PATCH", "/auth/me", token, `{"age": "43", "email": "eve@example.com"}`).
		Want(t, 200, strings.Replace(annShown, "42", "43", 1))
	s.JSON("PUT", "/auth/me", token, `{"company": "Ltd", "age": 7, "newsletter": false}`).
		Want(t, 200, `{"company": "Ltd", "age": 7, "newsletter": false, "email": "ann@example.com"}`)

	s.Do("GET", "/auth/", "").Want(t, 200)
	if a := s.Do("GET", "/auth/", ""); !strings.Contains(a.Body, `"change-email": "http://`+s.Addr+`/auth/email"`) {
		t.Errorf("root: %s", a.Body)
	}
	s.JSON("POST", "/auth/username", token, `{}`).Want(t, 404)
	s.JSON("POST", "/auth/email", token, `{}`).Want(t, 400,
		`{"current_password": ["This field is required."], "new_email": ["This field is required."], "re_new_email": ["This field is required."]}`)
	change := func(email, again, password string) answer {
		return s.JSON("POST", "/auth/email", token,
			fmt.Sprintf(`{"new_email": %q, "re_new_email": %q, "current_password": %q}`, email, again, password))
	}
	change("ann", "ann", "pw").Want(t, 400, `{"new_email": ["Enter a valid email address."]}`)
	change("b@example.com", "b@example.com", "no").Want(t, 400, `{"current_password": ["Invalid password."]}`)
	change("b@example.com", "c@example.com", "pw").Want(t, 400, `{"non_field_errors": ["The two email fields didn't match."]}`)
	s.JSON("POST", "/auth/register", "", strings.Replace(ann, "ann@", "bob@", 1)).Want(t, 201)
	change("bob@example.com", "bob@example.com", "pw").Want(t, 400, `{"email": ["User with this Email address already exists."]}`)
	change("b@EXAMPLE.com", "b@EXAMPLE.com", "pw").Want(t, 200, "")
	s.JSON("POST", "/auth/login", "", annLogin).Want(t, 400)
	s.token(`{"email": "b@example.com", "password": "pw"}`)
}

func TestAddressAsUsernameIsConfirmed(t *testing.T) {
	s := serve(t, site(memberSettings+"\nsend_activation_email\nlogin_after_activation\nlogin_after_registration\n"))
	s.JSON("POST", "/auth/register", "", ann).Want(t, 201, annShown)
	s.JSON("POST", "/auth/login", "", annLogin).Want(t, 400, `{"non_field_errors": ["User account is disabled."]}`)
	link := s.link(t, 1)
	a := s.JSON("POST", "/auth/activate", "", link)
	a.Want(t, 200)
	token := s.token(annLogin)

	// A new address counts when its mail was read.
	s.JSON("POST", "/auth/email", token, `{"new_email": "new@example.com", "current_password": "pw"}`).Want(t, 200, "")
	s.Get("/auth/me", token).Want(t, 200, annShown)
	s.token(annLogin)
	s.JSON("POST", "/auth/email", token, `{"new_email": "ann@EXAMPLE.com", "current_password": "pw"}`).Want(t, 200, "")
	s.JSON("POST", "/auth/register", "", strings.Replace(ann, "ann@", "bob@", 1)).Want(t, 201)
	s.JSON("POST", "/auth/email", token, `{"new_email": "Bob@example.com", "current_password": "pw"}`).
		Want(t, 400, `{"email": ["User with this Email address already exists."]}`)
	s.JSON("POST", "/auth/activate", "", link).Want(t, 400, `{"non_field_errors": ["Invalid token for given user."]}`)
	s.JSON("POST", "/auth/activate", "", s.linkTo(t, "new@example.com")).Want(t, 200)
	s.Get("/auth/me", token).Want(t, 200, strings.Replace(annShown, "ann@", "new@", 1))
	s.JSON("POST", "/auth/login", "", annLogin).Want(t, 400)
	s.token(`{"email": "new@example.com", "password": "pw"}`)
}

// Each row is a field, a value to register with, and the value or message of the answer.
func TestTypesAnswerAsREST(t *testing.T) {
	required := `"This field is required."`
	for _, c := range []struct {
		ModelField string
		rows       []string // pairs of a value and its answer
	}{
		{"field f char {\nmax_length 5\n}", []string{
			`"abc"`, `"abc"`, `5`, `"5"`, `true`, `"True"`, `""`, required, `null`, required,
			`"abcdef"`, `"Ensure this value has at most 5 characters (it has 6)."`, `"  "`, `"  "`, `"<&>"`, `"<&>"`,
			`"a\u0000"`, `"Null characters are not allowed."`, `"a\ud800"`, `"Surrogate characters are not allowed: U+D800."`,
			`"\udfff\ud800"`, `"Surrogate characters are not allowed: U+DFFF."`, `"\ud83d\ude00"`, `"😀"`, `"\ufffd"`, "\"\uFFFD\"", `"👍👍👍👍👍"`, `"👍👍👍👍👍"`,
			`[]`, `"[]"`, `{"a": 1}`, `"Ensure this value has at most 5 characters (it has 8)."`,
		}},
		{"field f text", []string{`"a\nb"`, `"a\nb"`, `"a\u0000"`, `"Null characters are not allowed."`, `"\udc00"`, `"Surrogate characters are not allowed: U+DC00."`}},
		{"field f char {\nmax_length 5\nblank\n}", []string{`""`, `""`, `null`, `""`, ``, `""`}},
		{"field f char {\nmax_length 5\ndefault abc\n}", []string{``, `"abc"`, `""`, required, `null`, required, `"x"`, `"x"`}},
		{"field f integer", []string{
			`42`, `42`, `"42"`, `42`, `" 42 "`, `42`, `-1`, `-1`, `"+1"`, `1`, `0`, `0`, ``, required, `""`, required, `null`, required, `[]`, required, `{}`, required,
			`1.5`, `"Enter a whole number."`, `1.0`, `"Enter a whole number."`, `true`, `"Enter a whole number."`, `"x"`, `"Enter a whole number."`,
			`NaN`, `"Enter a whole number."`, `"1_000"`, `"Enter a whole number."`, `" "`, `"Enter a whole number."`, `[1]`, `"Enter a whole number."`,
			`9223372036854775807`, `9223372036854775807`, `-9223372036854775808`, `-9223372036854775808`,
			`9223372036854775808`, `"Ensure this value is less than or equal to 9223372036854775807."`,
			`-9223372036854775809`, `"Ensure this value is greater than or equal to -9223372036854775808."`,
			strings.Repeat("9", 5000), `"Ensure this value is less than or equal to 9223372036854775807."`,
		}},
		{"field f integer {\nblank\n}", []string{``, `null`, `""`, `null`, `null`, `null`, `0`, `0`}},
		{"field f integer {\ndefault 7\n}", []string{``, `7`, `""`, required, `8`, `8`}},
		{"field f boolean", []string{
			`true`, `true`, `false`, `false`, `"true"`, `true`, `"f"`, `false`, `1`, `true`, `0`, `false`, `"on"`, `true`,
			``, `false`, `""`, `false`, `null`, `false`, `"maybe"`, `"'maybe' value must be either True or False."`, `2`, `"'2' value must be either True or False."`,
		}},
		{"field f boolean {\ndefault true\n}", []string{``, `true`, `false`, `false`, `""`, `false`}},
		{"field f date", []string{
			`"2024-02-29"`, `"2024-02-29"`, `"2024-2-9"`, `"2024-02-09"`, ``, required, `""`, required, `null`, required, `[]`, required,
			`"2023-02-29"`, `"Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]"`,
			`"0000-01-01"`, `"Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]"`,
			`"2024-02-09T00:00"`, `"Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]"`,
			`20240209`, `"Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]"`,
		}},
		{"field f date {\nblank\n}", []string{``, `null`, `""`, `null`}},
		{"field f url", []string{
			`"http://example.com/x?y#z"`, `"http://example.com/x?y#z"`, `"https://localhost:80"`, `"https://localhost:80"`, `"http://[::1]/"`, `"http://[::1]/"`,
			`"example.com"`, `"Enter a valid URL."`, `"javascript:alert(1)"`, `"Enter a valid URL."`, `"http://a b.com"`, `"Enter a valid URL."`,
			`"http://"`, `"Enter a valid URL."`, `"http://x\u0000.com"`, `"Enter a valid URL."`, `"http://x.com/\ud800"`, `"Enter a valid URL."`, `5`, `"Enter a valid URL."`,
			`"http://example.com/` + strings.Repeat("x", 200) + `"`, `"Ensure this value has at most 200 characters (it has 219)."`,
		}},
		{"field f email", []string{
			`" A@EXAMPLE.com "`, `"A@example.com"`, `"a"`, `"Enter a valid email address."`, `" "`, required, `"a\ud800@b.example"`, `"Enter a valid email address."`,
			`"a@b.example\u0000"`, `"Enter a valid email address."`,
		}},
		{"field f char {\nmax_length 9\nchoices red green\n}", []string{
			`"red"`, `"red"`, `"blue"`, `"Select a valid choice. blue is not one of the available choices."`, `""`, required, `"Red"`, `"Select a valid choice. Red is not one of the available choices."`,
		}},
		{"field f char {\nmax_length 9\nchoices red green\nblank\ndefault red\n}", []string{`""`, `""`, ``, `"red"`, `null`, `""`}},
		{"field f integer {\nchoices 1 2\n}", []string{`1`, `1`, `"2"`, `2`, `3`, `"Select a valid choice. 3 is not one of the available choices."`}},
		{"field f integer {\ndefault 5\nread_only\n}", []string{`1`, `5`, ``, `5`, `"x"`, `5`}},
	} {
		name, _, _ := strings.Cut(strings.ReplaceAll(c.ModelField, "\n", " "), "}")
		t.Run(name, func(t *testing.T) {
			s := serve(t, withModel("required_fields f\n"+c.ModelField))
			for i := 0; i < len(c.rows); i += 2 {
				member, want := "", c.rows[i+1]
				if c.rows[i] != "" {
					member = `, "f": ` + c.rows[i]
				}
				user := fmt.Sprintf("user%d", i)
				a := s.JSON("POST", "/auth/register", "", `{"username": "`+user+`", "password": "pw"`+member+`}`)
				body := `{"f": ` + want + `, "username": "` + user + `"}`
				if a.Status == 400 {
					body = `{"f": [` + want + `]}`
				}
				if a.Body != body || a.Status != 201 && a.Status != 400 {
					t.Errorf("%.80s: %d %s, want %s", c.rows[i], a.Status, a.Body, body)
				}
			}
		})
	}
}

func TestPutIsWholeAndPatchIsNot(t *testing.T) {
	s := serve(t, withModel(`required_fields company age born tick level note badge
		field company char {
			max_length 20
		}
		field age integer
		field born date {
			blank
		}
		field tick boolean
		field level integer {
			default 3
		}
		field note text {
			blank
		}
		field badge char {
			max_length 9
			read_only
			default none
		}`))
	s.JSON("POST", "/auth/register", "", `{"username": "ann", "password": "pw", "company": "Acme", "age": 1, "tick": true, "level": 5, "note": "x", "badge": "gold"}`).
		Want(t, 201, `{"company": "Acme", "age": 1, "born": null, "tick": true, "level": 5, "note": "x", "badge": "none", "username": "ann"}`)
	token := s.Login("ann", "pw")

	s.JSON("PATCH", "/auth/me", token, `{"company": "", "age": null}`).
		Want(t, 400, `{"age": ["This field cannot be null."], "company": ["This field cannot be blank."]}`)
	s.JSON("PATCH", "/auth/me", token, `{"note": "", "born": "2000-01-02", "badge": "gold"}`).
		Want(t, 200, `{"company": "Acme", "age": 1, "born": "2000-01-02", "tick": true, "level": 5, "note": "", "badge": "none", "username": "ann"}`)
	s.JSON("PATCH", "/auth/me", token, `{}`).Want(t, 200)
	s.JSON("PUT", "/auth/me", token, `{}`).
		Want(t, 400, `{"age": ["This field is required."], "company": ["This field is required."]}`)
	// A default is returned, an optional field may be missing, and an unticked box is missing
	// from a form.
	s.JSON("PUT", "/auth/me", token, `{"company": "Ltd", "age": 2}`).
		Want(t, 200, `{"company": "Ltd", "age": 2, "born": "2000-01-02", "tick": true, "level": 3, "note": "", "badge": "none", "username": "ann"}`)
	form := []string{"Authorization", "Token " + token, "Content-Type", drf.MediaForm}
	s.Do("PATCH", "/auth/me", "age=3", form...).
		Want(t, 200, `{"company": "Ltd", "age": 3, "born": "2000-01-02", "tick": true, "level": 3, "note": "", "badge": "none", "username": "ann"}`)
	s.Do("PUT", "/auth/me", "company=Inc&age=4&level=9", form...).
		Want(t, 200, `{"company": "Inc", "age": 4, "born": "2000-01-02", "tick": false, "level": 9, "note": "", "badge": "none", "username": "ann"}`)
}

func TestOptionsDescribeTheModel(t *testing.T) {
	s := serve(t, withModel(`username_field email
		required_fields home_town age color born site tick badge
		field home_town char {
			max_length 20
		}
		field age integer
		field color char {
			max_length 5
			choices red green
			blank
		}
		field born date
		field site url
		field tick boolean
		field badge integer {
			read_only
		}`))
	a := s.Do("OPTIONS", "/auth/register", "")
	a.Want(t, 200)
	var got struct {
		Actions struct {
			POST map[string]map[string]any
		}
	}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"home_town": `{"label":"home town","max_length":20,"read_only":false,"required":true,"type":"string"}`,
		"age":       `{"label":"age","read_only":false,"required":true,"type":"integer"}`,
		"color": `{"choices":[{"display_name":"---------","value":""},{"display_name":"red","value":"red"},{"display_name":"green","value":"green"}],` +
			`"label":"color","max_length":5,"read_only":false,"required":false,"type":"choice"}`,
		"born":  `{"label":"born","read_only":false,"required":true,"type":"date"}`,
		"site":  `{"label":"site","max_length":200,"read_only":false,"required":true,"type":"url"}`,
		"tick":  `{"label":"tick","read_only":false,"required":false,"type":"boolean"}`,
		"badge": `{"label":"badge","read_only":true,"required":false,"type":"integer"}`,
		"email": `{"label":"email address","max_length":254,"read_only":false,"required":true,"type":"email"}`,
	} {
		if b, _ := json.Marshal(got.Actions.POST[name]); string(b) != want {
			t.Errorf("%s: %s, want %s", name, b, want)
		}
	}
}

// As djoser declares the new name.
func TestOptionsOfAChangeShowOnlyTypes(t *testing.T) {
	s := serve(t, site(required))
	token := s.Register("ann", "pw")
	a := s.Do("OPTIONS", "/auth/username", "", "Authorization", "Token "+token)
	const input = `{"read_only": false, "required": true, "type": "string"}`
	var got struct{ Actions json.RawMessage }
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatal(err)
	}
	if want := `{"POST": {"current_password": ` + input + `, "new_username": ` + input + `}}`; string(got.Actions) != want {
		t.Errorf("%s, want %s", got.Actions, want)
	}
}

func TestAddressesAreCheckedAndKeptInOneForm(t *testing.T) {
	s := serve(t, withModel(`required_fields email`))
	for i, test := range []struct{ sent, stored string }{
		{"Ann@EXAMPLE.com", "Ann@example.com"},
		{" ann@example.com\\u001f\\u00a0", "ann@example.com"},
		{"ann@localhost", "ann@localhost"},
		{"ann@LOCALHOST", ""},
		{"ann@[::1]", "ann@[::1]"},
		{"ann@[1.2.3]", ""},
		{"ann@münchen.example", "ann@xn--mnchen-3ya.example"},
		{`\"a b\"@example.com`, ""},
		{`\"a@b\"@example.com`, ""},
		{"ann@example.com\\n", "ann@example.com"},
		{"ann\\n@example.com", ""},
	} {
		body := fmt.Sprintf(`{"username": "ann%d", "password": "pw", "email": "%s"}`, i, test.sent)
		if test.stored == "" {
			s.JSON("POST", "/auth/register", "", body).Want(t, 400, `{"email": ["Enter a valid email address."]}`)
			continue
		}
		s.JSON("POST", "/auth/register", "", body).Want(t, 201, fmt.Sprintf(`{"email": "%s", "username": "ann%d"}`, test.stored, i))
	}
}

func TestUniqueFields(t *testing.T) {
	s := serve(t, withModel(`required_fields email phone
		field email {
			unique
		}
		field phone integer {
			unique
			blank
		}`))
	register := func(name, email, phone string) answer {
		return s.JSON("POST", "/auth/register", "", fmt.Sprintf(`{"username": %q, "password": "pw", "email": %q, "phone": %s}`, name, email, phone))
	}
	register("ann", "Ann@example.com", "0").Want(t, 201)
	register("bob", "ann@EXAMPLE.com", "1").Want(t, 400, `{"email": ["User with this Email address already exists."]}`)
	register("bob", "b@example.com", "0").Want(t, 400, `{"phone": ["User with this Phone already exists."]}`)
	register("bob", "", "null").Want(t, 201) // an empty value is no value
	register("cid", "", "null").Want(t, 201)
	token := s.Login("bob", "pw")
	s.JSON("PATCH", "/auth/me", token, `{"phone": "0"}`).Want(t, 400, `{"phone": ["User with this Phone already exists."]}`)
	s.JSON("PATCH", "/auth/me", token, `{"phone": 2}`).Want(t, 200)
	s.JSON("PATCH", "/auth/me", token, `{"phone": 2}`).Want(t, 200)
	register("dan", "", "2").Want(t, 400)
	s.JSON("PATCH", "/auth/me", token, `{"phone": null}`).Want(t, 200)
	register("dan", "", "2").Want(t, 201)
}

func TestModelChangesOverStoredAccounts(t *testing.T) {
	ctx := context.Background()
	s := newServer(t)
	load := func(lines string) {
		t.Helper()
		http.DefaultClient.CloseIdleConnections() // Caddy is about to
		if err := s.Load(withModel(lines)); err != nil {
			t.Fatal(err)
		}
	}
	refuse := func(lines string, words ...string) {
		t.Helper()
		err := s.Load(withModel(lines))
		if err == nil {
			t.Fatalf("loaded: %s", lines)
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q doesn't say %q", err, w)
			}
		}
	}
	const company = "field company char {\nmax_length 20\n}\n"
	load("required_fields company\n" + company)
	s.JSON("POST", "/auth/register", "", `{"username": "ann", "password": "pw", "company": "12"}`).Want(t, 201)
	s.JSON("POST", "/auth/register", "", `{"username": "bob", "password": "pw", "company": "12"}`).Want(t, 201)
	token := s.Login("ann", "pw")

	// New fields have their default.
	load("required_fields company level since\n" + company + "field level integer {\ndefault 3\n}\nfield since date\n")
	s.Get("/auth/me", token).Want(t, 200, `{"company": "12", "level": 3, "since": null, "username": "ann"}`)
	s.JSON("POST", "/auth/register", "", `{"username": "cid", "password": "pw", "company": "C", "since": "2020-01-01"}`).Want(t, 201)

	// An account keeps the default that it got.
	load("required_fields company level\n" + company + "field level integer {\ndefault 4\n}\n")
	s.Get("/auth/me", token).Want(t, 200, `{"company": "12", "level": 4, "username": "ann"}`)
	s.Get("/auth/me", s.Login("cid", "pw")).Want(t, 200, `{"company": "C", "level": 3, "username": "cid"}`)

	// The data of a removed field stays, also after a change of the account and a restart.
	load("required_fields email")
	s.JSON("PATCH", "/auth/me", token, `{"email": "ann@example.com"}`).Want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
	acc, err := runningRealm(t, "default").accounts.Store.Account(ctx, 1)
	if err != nil || acc.Fields["company"] != "12" {
		t.Errorf("stored %v, %v", acc, err)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	load("required_fields company\n" + company)
	s.Get("/auth/me", token).Want(t, 200, `{"company": "12", "username": "ann"}`)

	// A value that the new type refuses counts as missing, and stays.
	load("required_fields company\nfield company integer\n")
	s.Get("/auth/me", token).Want(t, 200, `{"company": 12, "username": "ann"}`)
	s.Get("/auth/me", s.Login("cid", "pw")).Want(t, 200, `{"company": null, "username": "cid"}`)
	load("required_fields company\nfield company boolean {\ndefault true\n}\n")
	s.Get("/auth/me", token).Want(t, 200, `{"company": true, "username": "ann"}`)

	// A model that the stored accounts don't satisfy is refused, and the old configuration
	// continues.
	refuse("username_field email\nrequired_fields", "email", "username field", "account 2")
	refuse("required_fields company\nfield company char {\nmax_length 20\nunique\n}", "company", "unique", "same")
	// Caddy may drop a connection that the refused configuration had accepted.
	testsite.Eventually(t, "the old configuration", func() bool {
		resp, err := http.Get("http://" + s.Addr + "/auth/")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	})
	s.Get("/auth/me", token).Want(t, 200, `{"company": true, "username": "ann"}`)

	// A model that fits is accepted, and its keys exist.
	s.JSON("PATCH", "/auth/me", s.Login("bob", "pw"), `{"company": false}`).Want(t, 200)
	s.JSON("PATCH", "/auth/me", s.Login("cid", "pw"), `{"company": true}`).Want(t, 200)
	acc, _ = runningRealm(t, "default").accounts.Store.Account(ctx, 3)
	if acc.Fields["company"] != true {
		t.Errorf("stored %v", acc.Fields)
	}
	for id, email := range map[uint64]string{2: "bob@example.com", 3: "cid@example.com"} {
		_, err := runningRealm(t, "default").accounts.Patch(ctx, id, &account.Patch{Fields: model.Values{"email": email}})
		if err != nil {
			t.Fatal(err)
		}
	}
	load("username_field email\nrequired_fields")
	s.token(`{"email": "BOB@example.com", "password": "pw"}`)
	s.Get("/auth/me", token).Want(t, 200, `{"email": "ann@example.com"}`)
}

func TestImpossibleModelsAreRefused(t *testing.T) {
	for _, c := range [][2]string{
		{"username_field phone", "username_field phone is not a field"},
		{"username_field age\nfield age integer", "must be char or email"},
		{"field username {\ndefault x\n}", "can't have a default"},
		{"field username {\nread_only\n}", "can't be read_only"},
		{"required_fields company", "company is not a field"},
		{"required_fields username", "is the username field"},
		{"required_fields email email", "duplicate email"},
		{"field company", "a type is needed"},
		{"field company string", "unknown type string"},
		{"field company char", "needs max_length"},
		{"field company char {\nmax_length 0\n}", "max_length"},
		{"field company text {\nmax_length 9\n}", "takes no max_length"},
		{"field email char", "is email, not char"},
		{"field password char {\nmax_length 9\n}", "reserved"},
		{"field 1st char {\nmax_length 9\n}", "a name has letters"},
		{"field tick boolean {\nunique\n}", "can't be unique"},
		{"field tick boolean {\nchoices true\n}", "takes no choices"},
		{"field n integer {\nchoices 1 two\n}", `"two" is not a value of type integer`},
		{"field n integer {\nchoices 01\n}", `"01" is not a value of type integer`},
		{"field c char {\nmax_length 3\nchoices long-one\n}", "is not a value"},
		{"field n integer {\ndefault x\n}", "Enter a whole number."},
		{"field n integer {\ndefault 3\nchoices 1 2\n}", "Select a valid choice"},
		{"field n integer {\ndefault 3\nunique\n}", "can't have a default"},
		{"field d date {\ndefault tomorrow\n}", "Date has wrong format"},
	} {
		s := newServer(t)
		err := s.Load(withModel(c[0]))
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%q: error %v, want %q", c[0], err, c[1])
		}
	}
}

// link is the body that uses the link of the nth mail.
func (s *server) link(t *testing.T, n int) string {
	t.Helper()
	return linkBody(s.waitMails(t, n)[n-1])
}

// linkTo is the body that uses the newest link that was sent to an address.
func (s *server) linkTo(t *testing.T, address string) string {
	t.Helper()
	for n := 1; ; n++ {
		if m := s.waitMails(t, n)[n-1]; m.To == address {
			return linkBody(m)
		}
	}
}

// linkBody uses the link of a mail.
func linkBody(m testsite.Mail) string {
	uid, token := m.LinkToken()
	return fmt.Sprintf(`{"uid": %q, "token": %q}`, uid, token)
}

// waitMails waits for that many mails with a link, oldest first.
func (s *server) waitMails(t *testing.T, n int) []testsite.Mail {
	t.Helper()
	var mails []testsite.Mail
	testsite.Eventually(t, fmt.Sprintf("%d mails", n), func() bool {
		files, _ := filepath.Glob(filepath.Join(s.Dir, "mails", "*.eml"))
		slices.Sort(files)
		mails = nil
		for _, f := range files {
			if m := testsite.ReadMail(t, f); m.Link != "" {
				mails = append(mails, m)
			}
		}
		return len(mails) >= n
	})
	return mails
}
