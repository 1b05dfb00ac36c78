package djoser

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-djoser/djoser/admin"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(eventRecorder{}) }

// eventRecorder keeps the events of a test.
type eventRecorder struct{}

var recordedEvents struct {
	sync.Mutex
	list []caddy.Event
}

func (eventRecorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.djoser_recorder", New: func() caddy.Module { return new(eventRecorder) }}
}

func (eventRecorder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (eventRecorder) Handle(_ context.Context, e caddy.Event) error {
	recordedEvents.Lock()
	defer recordedEvents.Unlock()
	recordedEvents.list = append(recordedEvents.list, e)
	return nil
}

// takeEvents returns the events since the last call, as names with their data.
func takeEvents() (names []string, data []map[string]any) {
	recordedEvents.Lock()
	defer recordedEvents.Unlock()
	for _, e := range recordedEvents.list {
		names = append(names, e.Name())
		data = append(data, e.Data)
	}
	recordedEvents.list = nil
	return names, data
}

// serveWatched logs everything to a file, records events, and shows metrics.
func serveWatched(t *testing.T, site string) *server {
	t.Helper()
	s := newServer(t)
	s.loadWatched(site)
	takeEvents()
	return s
}

func (s *server) loadWatched(site string) {
	s.T.Helper()
	var events strings.Builder
	for _, name := range append(slices.Clone(caddyEvents), "store_failed", "store_recovered") {
		fmt.Fprintf(&events, "on djoser_%s djoser_recorder\n", name)
	}
	options := strings.Replace(testsite.Options, "level ERROR", "level DEBUG\noutput file {$DIR}/caddy.log", 1)
	options = strings.Replace(options, "auto_https off", "auto_https off\nmetrics\nevents {\n"+events.String()+"}", 1)
	if err := s.LoadWith(options, "log\nmetrics /metrics\n"+site); err != nil {
		s.T.Fatal(err)
	}
}

// logged returns the lines of the log, by the name of their logger.
func (s *server) logged(logger string) []map[string]any {
	s.T.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir, "caddy.log"))
	if err != nil {
		s.T.Fatal(err)
	}
	var lines []map[string]any
	for line := range strings.Lines(string(text)) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			s.T.Fatalf("%q: %v", line, err)
		}
		if name, _ := fields["logger"].(string); strings.HasPrefix(name, logger) {
			lines = append(lines, fields)
		}
	}
	return lines
}

// metric is the value of a metric as text, or empty.
func (s *server) metric(name string) string {
	s.T.Helper()
	a := s.Get("/metrics", "")
	a.Want(s.T, 200)
	m := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(name) + " (.*)$").FindStringSubmatch(a.Body)
	if m == nil {
		return ""
	}
	return m[1]
}

// metricNow reads a counter that other tests of the process increase, too.
func (s *server) metricNow(name string) (n float64) {
	_, _ = fmt.Sscan(s.metric(name), &n)
	return n
}

func TestAccountEventsAreReported(t *testing.T) {
	s := serveWatched(t, site("realm watched\nsend_activation_email\n"+required))
	// The audit log's entry and the event follow each step.
	var token string
	for i, step := range []struct {
		do    func() answer
		audit string
		event string
	}{
		{func() answer {
			return s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "a@b.example")
		}, "user_registered register ok owner ann", "djoser_user_registered"},
		{func() answer {
			return s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "a@b.example")
		}, "register_failed register taken owner -", ""},
		{func() answer { return s.Post("/auth/login", "", "username", "ann", "password", "pw") }, "login_failed login inactive owner ann", "djoser_login_failed"},
		{func() answer { return s.JSON("POST", "/auth/activate", "", `{"uid": "MQ", "token": "x"}`) }, "activate_failed activate bad_link owner ann", ""},
		{func() answer { return s.Post("/auth/activate/resend", "", "email", "a@b.example") }, "activation_requested activate_resend ok owner -", ""},
		{func() answer { return s.JSON("POST", "/auth/activate", "", s.link(t, 1)) }, "user_activated activate ok owner ann", "djoser_user_activated"},
		{func() answer { return s.Post("/auth/login", "", "username", "ann", "password", "bad") }, "login_failed login wrong_password owner ann", "djoser_login_failed"},
		{func() answer { return s.Post("/auth/login", "", "username", "zed", "password", "bad") }, "login_failed login wrong_password owner -", "djoser_login_failed"},
		{func() answer { return s.Post("/auth/login", "", "username", "ann", "password", "pw") }, "logged_in login ok owner ann", "djoser_logged_in"},
		{func() answer { return s.JSON("PATCH", "/auth/me", token, `{"email": "new@b.example"}`) }, "user_changed me ok owner ann", ""},
		{func() answer { return s.JSON("POST", "/auth/activate", "", s.linkTo(t, "new@b.example")) }, "email_confirmed activate ok owner ann", ""},
		{func() answer {
			return s.Post("/auth/username", token, "new_username", "anna", "current_password", "bad")
		}, "username_failed username wrong_password owner ann", ""},
		{func() answer {
			return s.Post("/auth/username", token, "new_username", "anna", "current_password", "pw")
		}, "username_changed username ok owner", "djoser_username_changed"},
		{func() answer { return s.Post("/auth/password", token, "new_password", "x", "current_password", "pw") }, "password_changed password ok owner anna", "djoser_password_changed"},
		{func() answer { return s.Do("DELETE", "/auth/tokens/0123", "", "Authorization", "Token "+token) }, "tokens_failed tokens refused owner anna", ""},
		{func() answer { return s.Post("/auth/logout/all", token) }, "logged_out_everywhere logout_all ok owner anna", ""},
		{func() answer { return s.Post("/auth/login", "", "username", "anna", "password", "x") }, "logged_in login ok owner anna", "djoser_logged_in"},
		{func() answer { return s.Post("/auth/logout", token) }, "logged_out logout ok owner anna", "djoser_logged_out"},
		{func() answer { return s.Post("/auth/password/reset", "", "email", "new@b.example") }, "password_reset_requested password_reset ok owner -", ""},
		{func() answer {
			return s.JSON("POST", "/auth/password/reset/confirm", "", strings.TrimSuffix(s.linkTo(t, "new@b.example"), "}")+`, "new_password": "y"}`)
		}, "", ""},
	} {
		before := len(s.logged("djoser.audit"))
		a := step.do()
		if made := tokenOf(a); made != "" {
			token = made
		}
		if step.audit == "" {
			continue
		}
		lines := s.logged("djoser.audit")[before:]
		if len(lines) != 1 {
			t.Fatalf("step %d: %d lines of the audit log after %d %s", i, len(lines), a.Status, a.Body)
		}
		l := lines[0]
		who := "-"
		if l["username"] != nil {
			who = fmt.Sprint(l["username"])
		}
		if got := fmt.Sprint(l["msg"], " ", l["action"], " ", l["outcome"], " ", l["by"], " ", who); !strings.HasPrefix(got, step.audit) {
			t.Errorf("step %d: %s, want %s", i, got, step.audit)
		}
		if l["address"] != "127.0.0.1" || l["realm"] != "watched" || (who != "-") != (l["user_id"] == float64(1)) {
			t.Errorf("step %d: %v", i, l)
		}
		if names, data := takeEvents(); strings.Join(names, " ") != step.event || len(data) > 0 && data[0]["address"] != "127.0.0.1" {
			t.Errorf("step %d: events %v with %v, want %s", i, names, data, step.event)
		}
	}

	takeEvents()
	for _, step := range [][2]string{{"POST", "users/anna/deactivate"}, {"DELETE", "users/anna"}} {
		w := httptest.NewRecorder()
		if err := (admin.API{}).Routes()[0].Handler.ServeHTTP(w, httptest.NewRequest(step[0], "/djoser/watched/"+step[1], nil)); err != nil || w.Code != 200 {
			t.Fatal(err, w.Code, w.Body)
		}
	}
	names, data := takeEvents()
	if !slices.Equal(names, []string{"djoser_user_deleted"}) || data[0]["by"] != "admin" || data[0]["username"] != "anna" {
		t.Errorf("events %v with %v", names, data)
	}
}

func TestTheAccessLogHasTheAccount(t *testing.T) {
	s := serveWatched(t, site(required)+"\ndjoser_auth /api\nrespond /api ok")
	token := s.Register("ann", "pw")
	s.Get("/auth/me", token).Want(t, 200)
	s.Get("/api", token).Want(t, 200)
	s.Get("/api", "").Want(t, 401)
	var ids []any
	for _, l := range s.logged("http.log.access") {
		ids = append(ids, l["user_id"])
	}
	if !slices.Equal(ids, []any{"1", "1", "1", "1", ""}) {
		t.Errorf("user_id: %v", ids)
	}
}

// The answer to a request doesn't show it.
func TestAMailThatALimitLeavesOutIsLoggedAndCounted(t *testing.T) {
	s := serveWatched(t, throttledSite("realm limited"))
	const name = `caddy_djoser_mails_total{outcome="throttled",purpose="password_reset",realm="limited"}`
	before := s.metricNow(name)
	for range 3 {
		s.Post("/auth/password/reset", "", "email", "nobody@b.example").Want(t, 200)
	}
	told := 0
	for _, line := range s.logged("") {
		if strings.Contains(fmt.Sprint(line["msg"]), "a mail is left out") {
			told++
		}
		if strings.Contains(fmt.Sprint(line), "nobody@") {
			t.Errorf("the log has the address: %v", line)
		}
	}
	if n := s.metricNow(name) - before; n != 2 || told != 2 {
		t.Errorf("counted %g times, logged %d times", n, told)
	}
}

func TestMetricsSurviveAReload(t *testing.T) {
	text := site("realm counted\n"+required) + "\ndjoser_auth /api {\nrealm counted\n}\nrespond /api ok"
	s := serveWatched(t, text)
	names := []string{
		`caddy_djoser_actions_total{action="login",outcome="ok",realm="counted"}`,
		`caddy_djoser_actions_total{action="login",outcome="wrong_password",realm="counted"}`,
		`caddy_djoser_token_checks_total{outcome="valid",realm="counted"}`,
		`caddy_djoser_token_checks_total{outcome="invalid",realm="counted"}`,
		`caddy_djoser_token_checks_total{outcome="anonymous",realm="counted"}`,
		`caddy_djoser_hashes_total{outcome="done",realm="counted"}`,
		`caddy_djoser_hash_seconds_count{realm="counted"}`,
		`caddy_djoser_hash_wait_seconds_count{realm="counted"}`,
		`caddy_djoser_mails_total{outcome="sent",purpose="password_reset",realm="counted"}`,
	}
	before := make(map[string]float64)
	for _, name := range names {
		before[name] = s.metricNow(name)
	}
	round := func() {
		t.Helper()
		token := s.Login("ann", "pw")
		s.Post("/auth/login", "", "username", "ann", "password", "bad").Want(t, 400)
		s.Get("/api", token).Want(t, 200)
		s.Get("/api", strings.Repeat("0", 40)).Want(t, 401)
		s.Get("/api", "").Want(t, 401)
		s.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 200)
	}
	s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "ann@example.com").Want(t, 201)
	round()
	s.waitMails(t, 1)
	s.loadWatched(text + "\nrespond /x y")
	s.reconnect()
	round()
	s.waitMails(t, 2)
	want := map[string]float64{names[0]: 2, names[1]: 2, names[2]: 2, names[3]: 2, names[5]: 5, names[6]: 5, names[7]: 5, names[8]: 2}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		testsite.Eventually(t, name, func() bool { return s.metricNow(name)-before[name] == want[name] })
	}
	for name, want := range map[string]string{
		`caddy_djoser_store_accounts{realm="counted"}`: "1",
		`caddy_djoser_store_tokens{realm="counted"}`:   "2",
		`caddy_djoser_hashes_running{realm="counted"}`: "0",
		`caddy_djoser_hashes_waiting{realm="counted"}`: "0",
	} {
		if got := s.metric(name); got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	if s.metricNow(`caddy_djoser_store_bytes{realm="counted"}`) <= 0 {
		t.Error("no size of the store")
	}
}

// The alerts and the dashboard of examples/monitoring.
func TestMonitoringAsksForMetricsThatExist(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	described := make(chan *prometheus.Desc, 100)
	for _, c := range (&App{}).collectors() {
		if err := registry.Register(c); err != nil {
			t.Fatal(err)
		}
		c.Describe(described)
	}
	close(described)
	var names strings.Builder
	for d := range described {
		names.WriteString(d.String())
	}
	metric := regexp.MustCompile(`caddy_djoser_\w+`)
	for _, file := range []string{"rules.yml", "rules_test.yml", "dashboard.json"} {
		text, err := os.ReadFile(filepath.Join("examples", "monitoring", file))
		if err != nil {
			t.Fatal(err)
		}
		asked := metric.FindAllString(string(text), -1)
		if len(asked) == 0 {
			t.Errorf("%s asks for nothing", file)
		}
		for _, name := range asked {
			if name = strings.TrimSuffix(name, "_bucket"); !strings.Contains(names.String(), `"`+name+`"`) {
				t.Errorf("%s asks for %s, which doesn't exist", file, name)
			}
		}
	}
}
