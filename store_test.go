package djoser

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// damageTable changes a byte in the middle of the largest table of a closed store, which
// opens nevertheless.
func damageTable(t *testing.T, dir string) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	var name string
	var text []byte
	for _, table := range tables {
		if read, err := os.ReadFile(table); err != nil {
			t.Fatal(err)
		} else if len(read) > len(text) {
			name, text = table, read
		}
	}
	text[len(text)/2] ^= 0x10
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAStoreWithAFault(t *testing.T) {
	s := newServer(t)
	fillStore(t, filepath.Join(s.Dir, "store"), 20) // too few for a compaction
	damageTable(t, filepath.Join(s.Dir, "store"))
	s.loadWatched(everyWay)
	tokens := 0
	unknown := func() string { // each one is remembered for a while
		tokens++
		return fmt.Sprintf("%040x", tokens)
	}
	testsite.Eventually(t, "the fault", func() bool { return s.Get("/gated", unknown()).Status == 503 })
	for what, a := range map[string]answer{
		"register":           s.Post("/auth/register", "", "username", "bob", "password", "secret", "email", "bob@example.com"),
		"unknown login":      s.Post("/auth/login", "", "username", "carol", "password", "secret"),
		"unknown token":      s.Get("/auth/me", unknown()),
		"gate":               s.Get("/gated", unknown()),
		"matcher":            s.Get("/matched", unknown()),
		"reset of a mailbox": s.Post("/auth/password/reset", "", "email", "alice@example.com"),
	} {
		a.Want(t, 503, "")
		if what != "matcher" && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s has no Retry-After", what)
		}
	}
	s.Get("/other", unknown()).Want(t, 200)
	if got := s.metric(`caddy_djoser_store_healthy{realm="default"}`); got != "0" {
		t.Errorf("the metric is %q", got)
	}
	testsite.Eventually(t, "the event", func() bool {
		names, data := takeEvents()
		return slices.ContainsFunc(names, func(name string) bool { return name == "djoser_store_failed" }) &&
			strings.Contains(fmt.Sprint(data), ".sst is damaged")
	})
}

func TestAFaultThatPasses(t *testing.T) {
	s := newServer(t)
	takeEvents() // of other tests
	s.loadWatched(everyWay)
	s.Register("alice", "secret")
	takeEvents()
	store := filepath.Join(s.Dir, "store")
	wantEvent := func(name, healthy string) {
		t.Helper()
		testsite.Eventually(t, name, func() bool {
			names, _ := takeEvents()
			return slices.Contains(names, name)
		})
		if got := s.metric(`caddy_djoser_store_healthy{realm="default"}`); got != healthy {
			t.Errorf("after %s the metric is %q", name, got)
		}
		if status := s.Get("/auth/health", "").Status; status == 200 != (healthy == "1") {
			t.Errorf("after %s a probe gets %d", name, status)
		}
	}
	if err := os.Rename(store, store+".moved"); err != nil {
		t.Fatal(err)
	}
	wantEvent("djoser_store_failed", "0")
	s.Post("/auth/login", "", "username", "alice", "password", "secret").Want(t, 503)
	if err := os.Rename(store+".moved", store); err != nil {
		t.Fatal(err)
	}
	wantEvent("djoser_store_recovered", "1")
	s.Login("alice", "secret")
}

// stuckStores are Badger stores that close only when they may: "store stuck".
type stuckStores struct{ badger.Store }

type stuckStore struct{ wrappedStore }

var mayClose = make(chan struct{})

func init() { caddy.RegisterModule(stuckStores{}) }

func (stuckStores) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser.stores.stuck", New: func() caddy.Module { return new(stuckStores) }}
}

func (w *stuckStores) Open(ctx context.Context, location string, log *zap.Logger) (model.Store, error) {
	s, err := w.Store.Open(ctx, location, log)
	return &stuckStore{wrappedStore{s}}, err
}

func (s *stuckStore) Close() error {
	<-mayClose
	return s.Store.Close()
}

// A disk that hangs holds up a store's Close.
func TestAStoreThatDoesNotCloseHoldsUpNoReload(t *testing.T) {
	defer func(before time.Duration) { closeTimeout = before }(closeTimeout)
	closeTimeout = 100 * time.Millisecond
	s := newServer(t)
	s.loadWatched(strings.Replace(everyWay, "store badger", "store stuck", 1))
	s.Register("alice", "secret")
	store := filepath.Join(s.Dir, "store")
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		s.loadWatched("respond /other other")
	}()
	select {
	case <-loaded:
	case <-time.After(20 * time.Second):
		t.Error("the reload hangs")
	}
	s.Get("/other", "").Want(t, 200, "other")
	if !slices.ContainsFunc(s.logged(""), func(line map[string]any) bool {
		return line["level"] == "error" && line["store"] == store && strings.Contains(fmt.Sprint(line["msg"]), "doesn't close")
	}) {
		t.Error("nothing is logged")
	}
	close(mayClose)
	<-loaded
	testsite.Eventually(t, "the store's end", func() bool {
		again, err := new(BadgerStore).Open(t.Context(), store, zap.NewNop())
		return err == nil && again.Close() == nil
	})
}

// fillStore makes a store with large accounts, whose tables take a while to check.
func fillStore(t *testing.T, dir string, accounts int) {
	t.Helper()
	store, err := new(BadgerStore).Open(t.Context(), dir, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for n := range accounts {
		name := fmt.Sprint("user", n)
		err := store.Commit(t.Context(), &Change{Account: &Account{
			Username: name, Email: name + "@example.com", IsActive: true, DateJoined: time.Now(),
			Fields: map[string]any{"bio": strings.Repeat("x", 900_000)},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// holdsForeignFile makes the folder of the store one that can't be opened.
func holdsForeignFile(t *testing.T, s *server) (name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.Dir, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.WriteFile("store/foreign", "")
	return filepath.Join(s.Dir, "store", "foreign")
}

// everyWay has the endpoints, the gate and the matcher beside another page.
var everyWay = site(required) + `
	djoser_auth /gated
	respond /gated gated
	handle /matched {
		@member djoser_token
		respond @member matched
	}
	respond /other other
`

func TestAStoreThatCannotBeOpenedLeavesOtherSitesAlone(t *testing.T) {
	s := newServer(t)
	foreign := holdsForeignFile(t, s)
	takeEvents() // of other tests
	s.loadWatched(everyWay)
	token := strings.Repeat("0", 40)
	s.Get("/other", token).Want(t, 200, "other")
	for _, path := range []string{"/auth/me", "/auth/login", "/gated", "/matched"} {
		a := s.Get(path, token)
		a.Want(t, 503, "")
		if path != "/matched" && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s has no Retry-After", path)
		}
	}
	s.Get("/gated", "").Want(t, 401)
	s.Get("/auth/health", "").Want(t, 503, `{"status": "unavailable"}`)
	const healthy = `caddy_djoser_store_healthy{realm="default"}`
	if got := s.metric(healthy); got != "0" {
		t.Errorf("the metric is %q", got)
	}
	wantEvent := func(name string) {
		t.Helper()
		testsite.Eventually(t, name, func() bool {
			names, data := takeEvents()
			if len(names) == 0 {
				return false
			}
			if len(names) != 1 || names[0] != name || data[0]["realm"] != "default" || data[0]["store"] != filepath.Dir(foreign) {
				t.Errorf("%q %v, want %s", names, data, name)
			}
			return true
		})
	}
	wantEvent("djoser_store_failed")
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	testsite.Eventually(t, "the store", func() bool { return s.Get("/auth/me", token).Status == 401 })
	wantEvent("djoser_store_recovered")
	s.Get("/auth/health", token).Want(t, 200, `{"status": "ok"}`)
	if got := s.metric(healthy); got != "1" {
		t.Errorf("the metric is %q", got)
	}
	s.Get("/gated", s.Register("alice", "secret")).Want(t, 200)
	loud := 0
	for _, line := range s.logged("") {
		if line["level"] == "error" && strings.Contains(fmt.Sprint(line["error"]), "foreign") {
			loud++
		}
	}
	if loud != 1 {
		t.Errorf("logged %d times", loud)
	}
}

func TestAReloadRefusesAStoreThatCannotBeOpened(t *testing.T) {
	s := newServer(t)
	foreign := holdsForeignFile(t, s)
	if err := s.Load("respond before"); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(everyWay); err == nil || !strings.Contains(err.Error(), filepath.Dir(foreign)) {
		t.Errorf("the reload: %v", err)
	}
	s.Get("/other", "").Want(t, 200, "before")
}

// The test runs under the race detector, too.
func TestChecksAndBackupsWhileReloadsMoveTheStore(t *testing.T) {
	p := testsite.NewProcess(t, site(required))
	fillStore(t, filepath.Join(p.Dir, "store"), 60)
	p.Start()

	done := make(chan struct{})
	var callers sync.WaitGroup
	statuses := make([]map[int]int, 2)
	for n, verb := range []string{"check", "backup"} {
		statuses[n] = make(map[int]int)
		callers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				file := filepath.Join(p.Dir, fmt.Sprintf("%d.bak", i))
				resp, err := http.Post("http://"+p.Admin+"/djoser/default/"+verb, "application/json", strings.NewReader(fmt.Sprintf("{%q: %q}", "file", file)))
				if err != nil {
					continue // the admin API is replaced by each reload
				}
				resp.Body.Close()
				statuses[n][resp.StatusCode]++
			}
		})
	}
	moved := strings.Replace(required, "{$DIR}/store", "{$DIR}/other", 1)
	for range 5 {
		for _, next := range []string{"respond gone", site(moved), site(required)} {
			p.AdminAPI().Do("POST", "/load", p.Caddyfile(next), "Content-Type", "text/caddyfile").Want(t, 200)
		}
	}
	close(done)
	callers.Wait()
	t.Logf("checks and backups by status: %v", statuses)
	for n := range statuses {
		if statuses[n][200] == 0 {
			t.Error("none of them was complete")
		}
		for status := range statuses[n] {
			if status != 200 && status != 404 && status != 503 {
				t.Errorf("%d", status)
			}
		}
	}
	p.AdminAPI().Do("POST", "/djoser/default/check", "").Want(t, 200)
}

func TestASweepDeletesWhatWasNeverActivated(t *testing.T) {
	s := serve(t, site("send_activation_email\n"+required))
	for _, name := range []string{"ann", "bob"} {
		s.Post("/auth/register", "", "username", name, "password", "pw", "email", name+"@a.example").Want(t, 201)
	}
	r := runningRealm(t, "default")
	ann, err := r.accounts.Find(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.accounts.Update(t.Context(), ann.ID, func(acc *model.Account, _ *model.Change) error {
		acc.DateJoined = acc.DateJoined.Add(-r.accounts.Links.TTL - 8*24*time.Hour)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.shared.Load().sweep(t.Context())
	if _, err := r.accounts.Store.Account(t.Context(), ann.ID); err != model.ErrNotFound {
		t.Errorf("ann: %v", err)
	}
	if _, err := r.accounts.Find(t.Context(), "bob"); err != nil {
		t.Errorf("bob: %v", err)
	}
}
