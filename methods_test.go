package djoser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// methodBackEnd is a back end that answers with the method of the request, and with
// headers that some take for another method.
func methodBackEnd(t *testing.T) string {
	return testsite.BackEndOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Method", r.Method)
		for name, values := range r.Header {
			if strings.Contains(strings.ToLower(name), "method") {
				w.Header().Add("X-Override", strings.Join(values, ","))
			}
		}
	})
}

var overrideHeaders = []string{
	"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override", "X.Http.Method", "Method-Override", "HTTP-Method-Override",
}

func TestAMethodInLowerCaseIsRefusedBehindAGate(t *testing.T) {
	to := methodBackEnd(t)
	s := serve(t, realmAnd(`
		@write method POST PUT PATCH DELETE
		djoser_auth @write
		@member {
			header X-Way matcher
			djoser_token
		}
		handle @member {
			reverse_proxy `+to+`
		}
		reverse_proxy `+to))
	auth := "Authorization: Token " + s.Register("ann", "pw")
	for _, method := range []string{"post", "pOST", "POSt", "delete", "get", "x"} {
		for _, header := range []string{"X: y", auth, "X-Way: matcher\r\n" + auth} {
			s.SendRaw(method+" /x HTTP/1.1\r\nHost: x\r\n"+header+"\r\nConnection: close\r\n\r\n").Want(t, 400)
		}
	}
	for method, want := range map[string]int{"GET": 200, "POST": 401, "PROPFIND": 200, "M-SEARCH": 200, "VERSION-CONTROL": 200} {
		s.SendRaw(method+" /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").Want(t, want)
	}
	s.SendRaw("patch /auth/me HTTP/1.1\r\nHost: x\r\n"+auth+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").Want(t, 200)
}

// If no gate depends on the method, the headers stay: back ends use them.
func TestMethodOverridesAreRemovedWhereAMatcherNamesMethods(t *testing.T) {
	to := methodBackEnd(t)
	for name, c := range map[string]struct {
		site string
		kept bool
	}{
		"no methods":         {"djoser_auth /api/*", true},
		"an answer's header": {"djoser_auth /api/*\nheader >X-How {method}", true},
		"methods elsewhere":  {"@get method GET\nheader @get X-Y z\ndjoser_auth /api/*", true},
		"a matcher":          {"@write method POST\ndjoser_auth @write", false},
		"a block of its own": {"@write method POST\nhandle @write {\ndjoser_auth\nreverse_proxy " + to + "\n}\nhandle {\ndjoser_auth {\noptional\n}\nreverse_proxy " + to + "\n}", false},
		"not":                {"@write not method GET HEAD\nroute @write {\nroute {\ndjoser_auth\n}\n}\ndjoser_auth /api/*", false},
		"an expression":      {"@write expression {method} in ['POST']\ndjoser_auth @write", false},
		"variables":          {"@write vars {http.request.method} POST\ndjoser_auth @write", false},
		"a map":              {"map {method} {write} {\nGET 0\ndefault 1\n}\n@write vars {write} 1\ndjoser_auth @write", false},
		"a variable":         {"vars how {method}\n@write expression {vars.how} != 'GET'\ndjoser_auth @write", false},
		"a path":             {"@write path /DELETE/*\nroute {\nrewrite /{method}{uri}\ndjoser_auth @write\n}", false},
		"a named route":      {"@write method POST\ninvoke @write gate\ndjoser_auth /api/*", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			if err := s.LoadWith(testsite.Options+"&(gate) {\nroute {\ndjoser_auth\n}\n}\n", realmAnd(c.site+"\nreverse_proxy "+to)); err != nil {
				t.Fatal(err)
			}
			auth := "Token " + s.Register("ann", "pw")
			for _, header := range overrideHeaders {
				if c.kept && strings.ContainsAny(header, "_.") {
					continue // Caddy drops some of these
				}
				for _, path := range []string{"/x", "/api/x"} {
					a := s.Do("GET", path, "", header, "POST", "Authorization", auth)
					a.Want(t, 200)
					if kept := a.Header.Get("X-Override") != ""; kept != c.kept {
						t.Errorf("%s, %s: kept is %v", header, path, kept)
					}
				}
			}
		})
	}
}

func attackSmallMethod(t *testing.T) {
	s := serve(t, realmAnd("@write method POST DELETE\ndjoser_auth @write\nreverse_proxy "+methodBackEnd(t)))
	for _, method := range []string{"post", "Post", "deletE"} {
		s.SendRaw(method+" /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").Want(t, 400)
	}
}

func attackOverriddenGate(t *testing.T) {
	s := serve(t, realmAnd("@write method POST DELETE\ndjoser_auth @write\nreverse_proxy "+methodBackEnd(t)))
	for _, header := range overrideHeaders {
		if a := s.Do("GET", "/x", "", header, "DELETE"); a.Status != 200 || a.Header.Get("X-Override") != "" {
			t.Errorf("%s: %d %v", header, a.Status, a.Header)
		}
	}
}
