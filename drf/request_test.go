package drf

import (
	"bytes"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// clean reports whether everything that a form gave is text.
func clean(o *Object) bool {
	for name, value := range o.Values {
		s, ok := value.(string)
		if !ok || !utf8.ValidString(name) || !utf8.ValidString(s) {
			return false
		}
	}
	return len(o.names) == len(o.Values)
}

func FuzzForm(f *testing.F) {
	f.Add("username=a&password=%41+%zz", "")
	f.Add("\xff=&&=%", "utf-16")
	f.Fuzz(func(t *testing.T, body, charset string) {
		c := charsetOf(charset)
		o := parseForm(body, c)
		if !clean(o) {
			t.Fatalf("%q: %v", body, o.Values)
		}
		want, err := url.ParseQuery(body)
		if err != nil || strings.Contains(body, ";") || c.Encoding != nil {
			return
		}
		for name, list := range want {
			if got, ok := o.Values[strings.ToValidUTF8(name, "\uFFFD")]; !ok || utf8.ValidString(body) && utf8.ValidString(name) && got != strings.ToValidUTF8(list[len(list)-1], "\uFFFD") && !strings.ContainsRune(name, '\uFFFD') {
				t.Fatalf("%q: %q is %q, want %q", body, name, got, list)
			}
		}
	})
}

func FuzzMultipart(f *testing.F) {
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--"))
	f.Add("multipart/form-data", []byte("--x"))
	f.Add(`multipart/form-data; boundary="a b"; boundary*=utf-8''x`, []byte("--\r\n\r\n"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		params := parseMediaType(contentType).params
		v, err := parseMultipart(body, params["boundary"], charsetOf(params["charset"]))
		if err != nil {
			return
		}
		o := v.(*Object)
		if !clean(o) || len(o.names) > maxParts {
			t.Fatalf("%q: %v", body, o.Values)
		}
		form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(1 << 20)
		if err != nil || !utf8.Valid(body) || bytes.ContainsAny(body, `*\`) || strings.Contains(contentType, "charset") {
			return
		}
		for name, list := range form.Value {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if got, ok := o.Values[name].(string); !ok || got != list[len(list)-1] && !bytes.Contains(bytes.ToLower(body), []byte("transfer-encoding")) {
				t.Fatalf("%q: %q is %q, want %q", body, name, got, list)
			}
		}
	})
}

func FuzzMediaType(f *testing.F) {
	for _, s := range []string{"application/json", "text/html; charset=utf-8", "*/*;q=0.5", ";;=", "a/b/c; x=\"", " / "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := parseMediaType(s)
		if want, params, err := mime.ParseMediaType(s); err == nil && !strings.ContainsAny(s, "*\"\\") && strings.Count(want, "/") == 1 {
			if !m.matches(want) || params["charset"] != m.params["charset"] && utf8.ValidString(s) {
				t.Errorf("%q is %v, want %s %v", s, m, want, params)
			}
		}
		for _, name := range []string{s, m.params["charset"]} {
			if text := charsetOf(name).decode(s); !utf8.ValidString(text) {
				t.Errorf("%q in %q: %q", s, name, text)
			}
		}
	})
}

func TestParsersOnForms(t *testing.T) {
	for _, test := range []struct{ charset, body, want string }{
		{"", "b=1&a=%E2%82%ac+x&b=2&%ff=%&c&=d", "{'b': '2', 'a': '€ x', '\uFFFD': '%', 'c': '', '': 'd'}"},
		{"Latin-1", "a=%e4%80&%e4=\xe4", "{'a': 'ä\\x80', 'ä': 'ä'}"},
		{"windows-1252", "a=%80", "{'a': '€'}"},
		{"utf-16", "%FE%FF%00a=%FE%FF%00b&%FF%FEa%00=%FF%FEc%00", "{'a': 'c'}"},
		{"klingon", "a=%c3%a4", "{'a': 'ä'}"},
	} {
		if got := PythonText(parseForm(test.body, charsetOf(test.charset))); got != test.want {
			t.Errorf("%s %s: %s, want %s", test.charset, test.body, got, test.want)
		}
	}
}

func TestMultipartHasTheCharsetOfItsType(t *testing.T) {
	body := "--x\r\nContent-Disposition: form-data; name=\"\xe4\"\r\n\r\n\xfc\r\n--x--"
	for charset, want := range map[string]string{"latin-1": "{'ä': 'ü'}", "utf-8": "{'\uFFFD': '\uFFFD'}"} {
		v, err := parseMultipart([]byte(body), "x", charsetOf(charset))
		if err != nil || PythonText(v) != want {
			t.Errorf("%s: %s %v, want %s", charset, PythonText(v), err, want)
		}
	}
}
