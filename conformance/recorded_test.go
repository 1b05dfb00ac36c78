package conformance

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
)

// What was recorded, in the form in which it is compared.
type (
	recordedCase struct {
		Name     string
		Settings map[string]any
		Env      struct {
			Django      map[string]any      `json:"DJANGO_JSON"`
			Permissions map[string][]string `json:"PERMISSIONS"`
			SimpleJWT   simpleJWT           `json:"SIMPLE_JWT"`
		}
		Steps   []*recordedStep
		Mails   []comparedMail
		DBAfter struct {
			Users  []comparedAccount
			Tokens []uint64 // ids of their users
		} `json:"db_after"`

		realm string
	}
	recordedStep struct {
		Request     *recordedRequest
		Response    *comparedAnswer
		Capture     map[string]string   // name of the variable: member of the answer
		CaptureMail struct{ To string } `json:"capture_mail"`
		Control     *struct{ Op, Username string }
		Sleep       float64 // in seconds
	}
	recordedRequest struct {
		Method       string
		Path         string
		Headers      [][2]string
		Body         *string
		BodyEncoding string `json:"body_encoding"`
	}
	comparedAnswer struct {
		Status          int    `json:"status"`
		Allow           string `json:"allow,omitempty"`
		WWWAuthenticate string `json:"www-authenticate,omitempty"`
		Body            any    `json:"body,omitempty"` // JSON
	}
	comparedMail struct {
		To     string `json:"to"`
		From   string `json:"from"`
		Link   string `json:"link,omitempty"`
		Notice bool   `json:"notice,omitempty"` // to an address that was given up
	}
	comparedAccount struct {
		ID       uint64     `json:"id"`
		Username string     `json:"username"`
		Email    string     `json:"email"`
		IsActive sqliteBool `json:"is_active"`
		IsStaff  sqliteBool `json:"is_staff"`
		IsSuper  sqliteBool `json:"is_superuser"`
		Password bool       `json:"password"` // usable
		Tokens   int        `json:"tokens"`
	}
)

// sqliteBool is recorded as SQLite's 0 or 1.
type sqliteBool bool

func (f *sqliteBool) UnmarshalJSON(text []byte) error {
	*f = string(text) == "1"
	return nil
}

// What is reviewed.
type (
	// difference is what a case has in one place instead of what was recorded.
	difference struct {
		Case string          `json:"case"`
		At   string          `json:"at"` // one of places
		Rule string          `json:"rule"`
		Want json.RawMessage `json:"want"`
	}
	// aftermath is what a case has left, which the recording doesn't show.
	aftermath struct {
		Case   string           `json:"case"`
		Logins []*loginAfter    `json:"logins,omitempty"`
		Tokens []any            `json:"tokens,omitempty"` // answers to each token, oldest first
		Links  []map[string]any `json:"links,omitempty"`  // answers to each link, newest first
		Ended  []any            `json:"ended,omitempty"`  // answers to each token after that
	}
	loginAfter struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Answer   any    `json:"answer"`
	}
)

// conformance is all data of the test.
type conformance struct {
	of          *recording
	cases       []*recordedCase
	differences map[string][]difference // by case
	after       map[string]*aftermath
}

func loadConformance(t *testing.T, of *recording) *conformance {
	t.Helper()
	data := &conformance{of: of, differences: make(map[string][]difference), after: make(map[string]*aftermath)}
	data.cases = decodeFile[*recordedCase](t, of.file)
	for i, c := range data.cases {
		c.prepare(i)
	}
	for _, d := range decodeFile[difference](t, of.differences) {
		data.differences[d.Case] = append(data.differences[d.Case], d)
	}
	for _, a := range decodeFile[*aftermath](t, of.after) {
		data.after[a.Case] = a
	}
	return data
}

// decodeFile reads JSON values, one after the other.
func decodeFile[T any](t *testing.T, name string) (values []T) {
	t.Helper()
	f, err := os.Open(conformanceData + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	d := json.NewDecoder(r)
	d.UseNumber()
	for {
		var v T
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return values
		} else if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
}

// prepare completes what was recorded, and hides its tokens.
func (c *recordedCase) prepare(number int) {
	c.realm = "case" + strconv.Itoa(number)
	settings := map[string]any{
		"DOMAIN": "frontend.com", "SITE_NAME": "Frontend",
		"PASSWORD_RESET_CONFIRM_URL": "#/password/reset/confirm/{uid}/{token}",
		"ACTIVATION_URL":             "#/activate/{uid}/{token}",
	}
	maps.Copy(settings, c.Settings)
	c.Settings = settings
	for _, s := range c.Steps {
		if s.Response != nil {
			body, _ := s.Response.Body.(map[string]any)
			s.Response.Body = body["json"] // nil for an HTML page
			s.Response.hideToken()
			s.Response.hideJWT()
		}
	}
	for i := range c.Mails {
		c.Mails[i].Link = hideLinkToken(c.Mails[i].Link)
	}
	for i := range c.DBAfter.Users {
		u := &c.DBAfter.Users[i]
		for _, owner := range c.DBAfter.Tokens {
			if owner == u.ID {
				u.Tokens++
			}
		}
	}
}

// places are where a case can differ.
func (c *recordedCase) places() []string {
	places := []string{"settings", "mails", "accounts"}
	for i, s := range c.Steps {
		if s.Request != nil {
			places = append(places, stepName(i))
		}
	}
	return places
}

func stepName(i int) string { return "step " + strconv.Itoa(i) }

// at finds the known difference of a case in a place.
func (data *conformance) at(c *recordedCase, at string) *difference {
	for i, d := range data.differences[c.Name] {
		if d.At == at {
			return &data.differences[c.Name][i]
		}
	}
	return nil
}

// write writes the reviewed data in the order of the cases.
func (data *conformance) write(t *testing.T) {
	t.Helper()
	var differences, after strings.Builder
	for _, c := range data.cases {
		for _, d := range data.differences[c.Name] {
			differences.WriteString(canonical(d) + "\n")
		}
		if a := data.after[c.Name]; a != nil && len(a.Logins)+len(a.Tokens)+len(a.Links) > 0 {
			after.WriteString(canonical(a) + "\n")
		}
	}
	for name, text := range map[string]string{data.of.differences: differences.String(), data.of.after: after.String()} {
		if err := os.WriteFile(conformanceData+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// canonical is the one JSON text of a value.
func canonical(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
