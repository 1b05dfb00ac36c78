package djoser

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// ranges is a server of Have I Been Pwned's protocol that knows some passwords.
type ranges struct {
	addr    string
	mu      sync.Mutex
	asked   []string // paths
	silent  bool
	answers map[string]string // by path
}

func serveRanges(t *testing.T, breached ...string) *ranges {
	t.Helper()
	r := &ranges{answers: make(map[string]string)}
	for _, password := range breached {
		sum := sha1.Sum([]byte(password))
		digits := strings.ToUpper(hex.EncodeToString(sum[:]))
		r.answers["/range/"+digits[:5]] = digits[5:] + ":3\r\n"
	}
	r.addr = testsite.BackEndOf(t, func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked = append(r.asked, req.URL.Path)
		if r.silent {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "%s%035X:0\r\n", r.answers[req.URL.Path], 1)
	})
	return r
}

// takeAsked returns how often the server was asked since the last call.
func (r *ranges) takeAsked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.asked)
	r.asked = nil
	return n
}

func (r *ranges) fall(silent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = silent
}

func TestPasswordsOfDataBreachesAreRefused(t *testing.T) {
	const breached, good, other = "Tr0ub4dor&3", "wide open spaces", "never in a breach"
	r := serveRanges(t, breached)
	s := newServer(t)
	check := "realm breached\n" + strings.Replace(required, "validators off", "validators common pwned\npwned_url http://"+r.addr+"/range", 1)
	options := strings.Replace(testsite.Options, "level ERROR", "output file {$DIR}/caddy.log", 1)
	if err := s.LoadWith(options, site(check)+"\nmetrics /metrics"); err != nil {
		t.Fatal(err)
	}
	counted := func(outcome string) float64 {
		return s.metricNow(`caddy_djoser_pwned_checks_total{outcome="` + outcome + `",realm="breached"}`)
	}
	register := func(name, password string) answer {
		return s.Post("/auth/register", "", "username", name, "password", password)
	}
	const message = `["This password has appeared in a data breach."]`

	register("ann", breached).Want(t, http.StatusBadRequest, `{"password": `+message+`}`)
	register("ann", good).Want(t, http.StatusCreated)
	if n := r.takeAsked(); n != 2 || counted("found") != 1 || counted("not_found") != 1 {
		t.Errorf("the server was asked %d times, %v were found, %v were not", n, counted("found"), counted("not_found"))
	}
	register("bob", "password1").Want(t, http.StatusBadRequest, `{"password": ["This password is too common."]}`)
	token := s.Login("ann", good)
	if n := r.takeAsked(); n > 0 {
		t.Errorf("the server was asked %d times about a common password, or at a log-in", n)
	}
	set := func(password string) answer {
		return s.Post("/auth/password", token, "new_password", password, "current_password", good)
	}
	set(breached).Want(t, http.StatusBadRequest, `{"new_password": `+message+`}`)
	accounts := runningRealm(t, "breached").accounts
	if err := accounts.CheckNewPassword("password", breached, func(string) string { return "" }); err == nil {
		t.Error("an administrator may set it")
	}
	if n := r.takeAsked(); n > 0 {
		t.Errorf("the server was asked %d times about what it has answered", n)
	}

	r.fall(true)
	set(other).Want(t, http.StatusOK)
	register("eve", "another good one").Want(t, http.StatusCreated)
	if counted("failed") != 2 {
		t.Errorf("%v failed", counted("failed"))
	}
	r.fall(false)
	register("joe", "yet another one").Want(t, http.StatusCreated)

	log, err := os.ReadFile(filepath.Join(s.Dir, "caddy.log"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{"gives no answer": 1, "answers again": 1, "/range/": 0} {
		if n := strings.Count(string(log), text); n != want {
			t.Errorf("the log has %q %d times, want %d", text, n, want)
		}
	}
}

// Nothing is asked of another server unless a setting says so.
func TestPwnedIsOffByDefault(t *testing.T) {
	s := serve(t, site(strings.Replace(required, "validators off", "", 1)))
	s.Post("/auth/register", "", "username", "ann", "password", "Tr0ub4dor&3").Want(t, http.StatusCreated)
	if breaches := runningRealm(t, "default").newBreaches(); breaches != nil {
		t.Error("the validator is on")
	}
}
