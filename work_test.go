package djoser

import (
	"encoding/json"
	"maps"
	"net/url"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
)

// heapBytes is how much the process has allocated so far.
func heapBytes() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// alphabets fill texts. Letters that look alike may be different to Unicode: each
// alphabet takes another way through the functions that parse.
var alphabets = map[string]func(i int) string{
	"one letter":         func(int) string { return "a" },
	"different letters":  func(i int) string { return string(rune(0x4E00 + i%0x5000)) },
	"growing letters":    func(int) string { return "\uFDFA" },
	"letters and marks":  func(i int) string { return []string{"o", "\u0301", "\u0327"}[i%3] },
	"full width":         func(i int) string { return string(rune(0xFF21 + i%26)) },
	"labels":             func(i int) string { return []string{"ü", "."}[i%2] },
	"ideographic dots":   func(i int) string { return []string{"a", "\u3002"}[i%2] },
	"soft hyphens":       func(i int) string { return []string{"a", "\u00AD"}[i%2] },
	"digits":             func(int) string { return "9" },
	"both directions":    func(i int) string { return []string{"\u05D0", "b"}[i%2] },
	"spaces":             func(int) string { return "\u00A0" },
	"signs of addresses": func(i int) string { return string("@.[]-\"/?#&%"[i%11]) },
}

// fill makes a text of about n bytes between a beginning and an end.
func fill(n int, start, end string, letter func(int) string) string {
	var b strings.Builder
	b.WriteString(start)
	for i := 0; b.Len()+len(end) < n-4; i++ {
		b.WriteString(letter(i))
	}
	return b.String() + end
}

// attackLongTexts sends the longest bodies to every input of every endpoint, and counts
// the memory.
func attackLongTexts(t *testing.T) {
	if testing.Short() {
		t.Skip("sends thousands of requests")
	}
	const members = `user_model {
		username_field email
		required_fields c t u i b d e
		field c char {
			max_length 30
		}
		field t text {
			blank
		}
		field u url
		field i integer
		field b boolean
		field d date
		field e email
	}
	`
	both := "set_username_retype\nset_password_retype\npassword_reset_confirm_retype\nsend_activation_email\n"
	for _, users := range []string{members, "user_model {\nfield username {\ncase_insensitive\nsingle_script\n}\n}\n"} {
		s := serve(t, site(both+users+required))
		r := runningRealm(t, "default")
		password := "pw"
		known := model.Values{r.model.Username.Name: "ann@b.example"}
		acc, err := r.accounts.Create(t.Context(), &account.Patch{Fields: known}, password)
		if err != nil {
			t.Fatal(err)
		}
		token := ""
		err = r.accounts.Do(t.Context(), account.Event{Action: "login"}, func(req *account.Request) (err error) {
			_, token, err = req.Login(t.Context(), r.model.Username, "ann@b.example", password)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		likely := map[string]string{
			"c": "x", "u": "http://b.example", "i": "1", "d": "2000-01-01", "e": "e@b.example", "username": "bob", "email": "ann@b.example",
			"password": "pw", "current_password": "wrong", "new_password": "x", "re_new_password": "x",
			"new_username": "eve", "re_new_username": "eve", "new_email": "eve@b.example", "re_new_email": "eve@b.example",
			"uid": account.EncodeUID(acc.ID), "token": "x-y",
		}
		for _, path := range []string{
			"me", "register", "login", "activate", r.model.Username.Name, "password",
			"password/reset", "password/reset/confirm", "activate/resend",
		} {
			method, inputs := s.inputsOf(path, token)
			for _, input := range inputs {
				for name, letter := range alphabets {
					for _, around := range [][2]string{{"", ""}, {"a@", ".com"}, {"http://", ".com/"}} {
						s.sendLong(t, method, path, input, likely, token, name, around, letter)
					}
				}
			}
		}
	}
}

// inputsOf are the members that OPTIONS of an endpoint lists.
func (s *server) inputsOf(path, token string) (method string, names []string) {
	s.T.Helper()
	var answer struct {
		Actions map[string]map[string]any
	}
	a := s.Do("OPTIONS", "/auth/"+path, "", "Authorization", "Token "+token)
	if err := json.Unmarshal([]byte(a.Body), &answer); err != nil || len(answer.Actions) != 1 {
		s.T.Fatalf("OPTIONS of %s: %s", path, a.Body)
	}
	for method, inputs := range answer.Actions {
		return method, slices.Sorted(maps.Keys(inputs))
	}
	return "", nil
}

// sendLong sends a body of the maximum length, most of it in one input, as JSON and as a
// form.
func (s *server) sendLong(t *testing.T, method, path, input string, likely map[string]string, token, alphabet string, around [2]string, letter func(int) string) {
	t.Helper()
	body := make(map[string]any)
	for name, value := range likely {
		body[name] = value
	}
	text := fill(60<<10, around[0], around[1], letter)
	body[input] = text
	inJSON, _ := json.Marshal(body)
	if len(inJSON) > 64<<10 { // quotes make it longer
		inJSON = nil
	}
	form := url.Values{input: {fill(20<<10, around[0], around[1], letter)}}
	for name, value := range likely {
		if name != input {
			form.Set(name, value)
		}
	}
	header := []string{"Authorization", "Token " + token, "Content-Type"}
	for contentType, body := range map[string]string{drf.MediaJSON: string(inJSON), drf.MediaForm: form.Encode()} {
		if body == "" {
			continue
		}
		send := func() (status int, taken uint64) {
			before := heapBytes()
			a := s.Do(method, "/auth/"+path, body, append(header, contentType)...)
			return a.Status, heapBytes() - before
		}
		const limit = 100 * 64 << 10
		status, taken := send()
		if taken > limit { // the store's memory table may have grown, which it does once
			status, taken = send()
		}
		if status >= 500 || taken > limit {
			t.Errorf("%s of %s, %s between %q: %d, %d bytes of the heap", input, path, alphabet, around, status, taken)
		}
	}
}

func TestRequestHeadersAreBounded(t *testing.T) {
	s := serve(t, site(required))
	s.Do("POST", "/auth/login?x="+strings.Repeat("a", drf.MaxQuery), "").Want(t, 414, `{"detail": "Query is too long."}`)
	s.Do("POST", "/auth/login?"+strings.Repeat("a&", drf.MaxQuery/2), "").Want(t, 400)
	s.Do("POST", "/auth/login", "", "Accept", strings.Repeat("a/b;c=d,", drf.MaxAccept/8)+"*/*").Want(t, 406)
	s.Do("POST", "/auth/login", "{}", "Content-Type", drf.MediaJSON+strings.Repeat(";a=b", drf.MaxContentType)).Want(t, 415)
	s.Do("POST", "/auth/login", "{}", "Content-Type", drf.MediaJSON+";charset=utf-8").Want(t, 400)
}

// attackBadLink asks for somebody's address with invalid links.
func attackBadLink(t *testing.T) {
	s := serve(t, strings.Replace(site(required), "validators off", "min_length 1\nvalidators similar", 1))
	s.Post("/auth/register", "", "username", "johndoe", "password", "pw", "email", "jane.roe@corp.example").Want(t, 201)
	s.Post("/auth/register", "", "username", "away", "password", "pw", "email", "a@b.example").Want(t, 201)
	change(t, "away", func(a *model.Account) { a.IsActive = false })
	for uid, want := range map[string]string{
		account.EncodeUID(1): `{"non_field_errors": ["Invalid token for given user."]}`,
		account.EncodeUID(2): `{"non_field_errors": ["Invalid token for given user."]}`,
		account.EncodeUID(3): `{"uid": ["Invalid user id or user doesn't exist."]}`,
	} {
		for _, pass := range []string{"jane.roe@corp.example", "johndoe", "a@b.example", "j", "unlike-anything", strings.Repeat("x", 4096)} {
			for _, token := range []string{"x", "1-2", "t2x1k0-3b9c2f50a1d84e6e7f1b0a9c8d7e6f5a4b3c2d1e", strings.Repeat("a", 9000)} {
				s.Post("/auth/password/reset/confirm", "", "uid", uid, "token", token, "new_password", pass).Want(t, 400, want)
			}
		}
		s.Post("/auth/activate", "", "uid", uid, "token", "x").Want(t, 400, want)
	}

	// With a valid link the validators answer, and the link stays valid.
	s.Post("/auth/password/reset", "", "email", "jane.roe@corp.example").Want(t, 200)
	link := strings.TrimSuffix(s.link(t, 1), "}")
	s.JSON("POST", "/auth/password/reset/confirm", "", link+`, "new_password": "jane.roe@corp.example"}`).
		Want(t, 400, `{"new_password": ["The password is too similar to the email address."]}`)
	s.JSON("POST", "/auth/password/reset/confirm", "", link+`, "new_password": "unlike-anything"}`).Want(t, 200)
	s.Login("johndoe", "unlike-anything")
}
