package api_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	_ "github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

var update = flag.Bool("update", false, "write what the tests got into testdata")

// described are realms with different settings. The first one has everything.
var described = []struct{ name, settings string }{
	{"both", `
		endpoints classic v2
		send_activation_email
		login_after_activation
		jwt {
			header_types JWT Bearer
			rotate
		}
		provider github {
			client_id x
			client_secret y
			redirect_uris https://app.example.com/github
		}
	`},
	{"classic", `
		login_after_registration
		set_username_retype
		set_password_retype
		password_reset_confirm_retype
		registration approve
		user_model {
			required_fields email id company age born newsletter plan level site
			field company char {
				max_length 80
			}
			field age integer
			field born date {
				blank
			}
			field newsletter boolean
			field plan char {
				max_length 10
				choices free paid
				default free
			}
			field level integer {
				read_only
				blank
			}
			field site url {
				blank
			}
		}
		token {
			cookie
			schemes Bearer Token
		}
	`},
	{"v2", `
		endpoints v2
		login_field email
		jwt
		user_model {
			required_fields email
			field email email {
				unique
			}
		}
		user_create_password_retype
		username_reset_confirm_retype
		password_reset_show_email_not_found
		ignore_bad_token
		set_email_password
		hide_users off
		permissions {
			user_create IsAdminUser
			user_list IsAdminUser
		}
		disable logout_all username_reset
	`},
	{"email", `
		endpoints classic v2
		user_model {
			username_field email
		}
		registration closed
		disable tokens me password_reset users
	`},
}

// serveAll serves the realms under their names.
func serveAll(t *testing.T) *testsite.Site {
	t.Helper()
	s := testsite.New(t)
	var site strings.Builder
	for _, r := range described {
		settings := strings.ReplaceAll(testsite.Settings, "{$DIR}/", "{$DIR}/"+r.name+"-")
		fmt.Fprintf(&site, "djoser /%s/auth/* {\nrealm %[1]s\nusername_reset_confirm_url \"#/u/{uid}/{token}\"\n%s%s}\n", r.name, settings, r.settings)
	}
	if err := s.Load(site.String()); err != nil {
		t.Fatal(err)
	}
	return s
}

// describe returns the description of a realm.
func describe(t *testing.T, s *testsite.Site, prefix string) *testsite.OpenAPI {
	t.Helper()
	a := s.Get(prefix+"/openapi.json", "")
	a.Want(t, http.StatusOK)
	return testsite.ParseOpenAPI(t, a.Body)
}

// named replaces the parameter of a path.
func named(path string) string { return strings.ReplaceAll(path, "{id}", "1") }

func TestTheDescriptionNamesEveryPathAndMethodAndNoOther(t *testing.T) {
	s := serveAll(t)
	all := make(map[string]bool)
	descriptions := make(map[string]*testsite.OpenAPI)
	for _, r := range described {
		d := describe(t, s, "/"+r.name+"/auth")
		descriptions[r.name] = d
		for path := range d.Paths {
			all[path] = true
		}
	}
	for name, d := range descriptions {
		for path := range all {
			a := s.Do(http.MethodOptions, "/"+name+"/auth"+named(path), "")
			served := strings.Split(a.Header.Get("Allow"), ", ")
			slices.Sort(served)
			switch {
			case d.Paths[path] != nil && !slices.Equal(d.Methods(path), served):
				t.Errorf("%s %s: %s are described, %s served", name, path, d.Methods(path), served)
			case d.Find(named(path)) == "" && a.Status != http.StatusNotFound:
				t.Errorf("%s %s is served, but not described", name, path)
			}
		}
		ids := make(map[string]string)
		for path, operations := range d.Paths {
			for method, op := range operations {
				if at := ids[op.ID]; at != "" || op.ID == "" || op.Summary == "" {
					t.Errorf("%s: %s %s has the id %q and the summary %q, and so has %s", name, method, path, op.ID, op.Summary, at)
				}
				ids[op.ID] = path
			}
		}
	}
}

// Whether an operation needs a token is what the server says without one.
func TestTheDescriptionTellsWhatNeedsAToken(t *testing.T) {
	s := serveAll(t)
	for _, r := range described {
		d := describe(t, s, "/"+r.name+"/auth")
		for path, operations := range d.Paths {
			for method, op := range operations {
				a := s.JSON(strings.ToUpper(method), "/"+r.name+"/auth"+named(path), "", "{}")
				if refused := a.Status == http.StatusUnauthorized; refused != (len(op.Security) > 0) {
					t.Errorf("%s: %s %s: %d, but security is %v", r.name, method, path, a.Status, op.Security)
				}
				if refused := a.Status == http.StatusBadRequest; refused && !op.RequestBody.Required {
					t.Errorf("%s: %s %s: %s, but no body is required", r.name, method, path, a.Body)
				}
				if err := d.Check(strings.ToUpper(method), named(path), a); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestTheDescriptionIsServedLikeAnEndpoint(t *testing.T) {
	s := testsite.New(t)
	err := s.Load(`
		djoser /auth/* {
			` + testsite.Settings + `
			token {
				cookie
			}
		}
		djoser /off/* {
			realm off
			` + strings.ReplaceAll(testsite.Settings, "{$DIR}/", "{$DIR}/off-") + `
			disable openapi
		}
		handle_path /shop/* {
			djoser /accounts/* {
				realm shop
				` + strings.ReplaceAll(testsite.Settings, "{$DIR}/", "{$DIR}/shop-") + `
			}
		}`)
	if err != nil {
		t.Fatal(err)
	}
	first := s.Get("/auth/openapi.json", "")
	first.Want(t, http.StatusOK)
	if got := first.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("the type is %s", got)
	}
	etag := first.Header.Get("ETag")
	s.Get("/auth/openapi.json/", "").Want(t, http.StatusOK)
	token := s.Register("ann", "pw")
	s.Get("/auth/openapi.json", token).Want(t, http.StatusOK, first.Body)
	s.Do("GET", "/auth/openapi.json", "", "Cookie", "djoser="+token).Want(t, http.StatusOK, first.Body)
	if a := s.Do("GET", "/auth/openapi.json", "", "If-None-Match", etag); a.Status != http.StatusNotModified || a.Body != "" {
		t.Errorf("with its ETag: %d %s", a.Status, a.Body)
	}
	s.Do("GET", "/auth/openapi.json", "", "If-None-Match", `"other"`).Want(t, http.StatusOK, first.Body)
	head := s.Do("HEAD", "/auth/openapi.json", "")
	if head.Want(t, http.StatusOK, ""); head.Header.Get("ETag") != etag {
		t.Errorf("HEAD has the ETag %s", head.Header.Get("ETag"))
	}
	s.Do("OPTIONS", "/auth/openapi.json", "").
		Want(t, http.StatusOK, `{"name": "OpenAPI", "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"], "renders": ["application/json", "text/html"]}`)
	s.Post("/auth/openapi.json", "").Want(t, http.StatusMethodNotAllowed)
	s.Get("/off/openapi.json", "").Want(t, http.StatusNotFound)

	for path, prefix := range map[string]string{
		"/auth/openapi.json": "/auth", "///auth/openapi.json/": "/auth", "/shop/accounts/openapi.json": "/shop/accounts",
	} {
		var d struct{ Servers []struct{ URL string } }
		if err := json.Unmarshal([]byte(s.Get(path, "").Body), &d); err != nil || len(d.Servers) != 1 || d.Servers[0].URL != prefix {
			t.Errorf("%s: %v %+v", path, err, d)
		}
	}
}

// The file has a line for each operation: what it takes, with * for what is required, and
// what it answers.
func TestTheDescriptionsOfSeveralRealms(t *testing.T) {
	const file = "testdata/described.txt"
	s := serveAll(t)
	var got strings.Builder
	for _, r := range described {
		fmt.Fprintf(&got, "# %s\n%s\n", r.name, outline(t, describe(t, s, "/"+r.name+"/auth").Text))
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got.String() != string(want) {
		t.Errorf("%s: %v; go test -run TestTheDescriptionsOfSeveralRealms ./api -update writes it anew:\n%s", file, err, &got)
	}
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Format     string
	MinLength  int
	MaxLength  int
	Enum       []any
	Default    any
	ReadOnly   bool
	Properties map[string]schema
	Required   []string
	Items      *schema
	AnyOf      []schema
}

type content map[string]struct{ Schema schema }

type document struct {
	Paths map[string]map[string]struct {
		ID          string `json:"operationId"`
		Security    []map[string][]string
		RequestBody struct{ Content content } `json:"requestBody"`
		Responses   map[string]struct {
			Ref     string `json:"$ref"`
			Content content
		}
	}
	Components struct {
		Schemas         map[string]schema
		SecuritySchemes map[string]struct{ Type, In, Name, Scheme string }
	}
}

func outline(t *testing.T, text string) string {
	t.Helper()
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d.Components.SecuritySchemes)) {
		fmt.Fprintf(&b, "%s: %+v\n", name, d.Components.SecuritySchemes[name])
	}
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			op := d.Paths[path][method]
			fmt.Fprintf(&b, "%s %s %s", op.ID, strings.ToUpper(method), path)
			for _, s := range op.Security {
				fmt.Fprintf(&b, " %s", slices.Collect(maps.Keys(s)))
			}
			if len(op.RequestBody.Content) != 0 && len(op.RequestBody.Content) != 3 {
				t.Errorf("%s takes %d media types", op.ID, len(op.RequestBody.Content))
			}
			b.WriteString(d.content("takes", op.RequestBody.Content))
			var others []string
			for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
				if r := op.Responses[status]; r.Ref == "" && status != "400" {
					b.WriteString("\n\tanswers " + status + d.content("", r.Content))
				} else {
					others = append(others, status)
				}
			}
			fmt.Fprintf(&b, "\n\tor %s\n", strings.Join(others, " "))
		}
	}
	return b.String()
}

func (d *document) content(word string, c content) string {
	if c == nil {
		return ""
	}
	if word != "" {
		word = "\n\t" + word
	}
	return word + " " + d.show(c["application/json"].Schema, true)
}

func (d *document) show(s schema, whole bool) string {
	switch {
	case s.Ref != "":
		name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
		if !whole {
			return name
		}
		return name + " " + d.show(d.Components.Schemas[name], false)
	case s.AnyOf != nil:
		var choices []string
		for _, of := range s.AnyOf {
			choices = append(choices, d.show(of, whole))
		}
		return strings.Join(choices, " or ")
	case s.Items != nil:
		return "[" + d.show(*s.Items, whole) + "]"
	case s.Properties != nil:
		var members []string
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if slices.Contains(s.Required, name) {
				members = append(members, name+"* "+d.show(s.Properties[name], false))
			} else {
				members = append(members, name+" "+d.show(s.Properties[name], false))
			}
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	text := strings.Trim(fmt.Sprint(s.Type, " ", s.Format), " ")
	if s.MaxLength > 0 {
		text += fmt.Sprintf(" %d..%d", s.MinLength, s.MaxLength)
	}
	if s.Enum != nil {
		text += fmt.Sprintf(" of %q", s.Enum)
	}
	if s.Default != nil {
		text += fmt.Sprintf(" =%v", s.Default)
	}
	if s.ReadOnly {
		text += " read-only"
	}
	return text
}
