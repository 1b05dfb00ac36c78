package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// sites starts servers that share a store.
func sites(t *testing.T, n int, url, options string) (all []*testsite.Process, mails *testsite.SMTP) {
	t.Helper()
	mails = testsite.StartSMTP(t, "none", nil)
	for range n {
		all = append(all, startSite(t, "postgres "+url+" {\n"+options+"\n}", "", mails))
	}
	return all, mails
}

// startSite starts a server with a store and more settings. Its gate is at /api/.
func startSite(t *testing.T, store, more string, mails *testsite.SMTP) *testsite.Process {
	settings := strings.NewReplacer("store badger {$DIR}/store", "store "+store,
		"mailer file {$DIR}/mails", "mailer smtp "+mails.Addr+" {\ntls none\n}").Replace(testsite.Settings)
	if strings.Contains(more, "throttle") {
		settings = strings.Replace(settings, "throttle off", "", 1)
	}
	p := testsite.NewProcess(t, "djoser /auth/* {\n"+settings+more+"\n}\nhandle /api/* {\ndjoser_auth\nrespond ok\n}")
	p.Start()
	return p
}

func TestServersShareAccounts(t *testing.T) {
	all, mails := sites(t, 3, sharedServer(t).url(), "schema "+newSchema())
	a, b, c := all[0], all[1], all[2]
	a.Register("ann", "secret")
	token := b.Login("ann", "secret")
	for _, p := range all {
		p.Get("/api/", token).Want(t, 200, "ok") // and now it is in each cache
	}
	c.Post("/auth/register", "", "username", "ann", "password", "other").Want(t, 400, `{"username": ["User with this Username already exists."]}`)

	a.Post("/auth/logout", token).Want(t, 200)
	for _, p := range all {
		testsite.Eventually(t, "the token has ended", func() bool { return p.Get("/api/", token).Status == 401 })
	}
	for _, p := range all {
		if !strings.Contains(p.Log(), "notifications of the database come through") {
			t.Error("a server doesn't say that notifications come through")
		}
	}

	b.Post("/auth/register", "", "username", "bob", "password", "secret", "email", "bob@example.com").Want(t, 201)
	const resets = 20
	for n := range resets {
		all[n%3].Post("/auth/password/reset", "", "email", "bob@example.com").Want(t, 200)
	}
	testsite.Eventually(t, "the mails were sent", func() bool { return len(mails.Received()) >= resets })
	a.Stop()
	b.Stop()
	c.Stop()
	ids := make(map[string]int)
	for _, m := range mails.Received() {
		ids[m.Parse(t).Header.Get("Message-Id")]++
	}
	if len(mails.Received()) != resets || len(ids) != resets {
		t.Errorf("%d mails, %d different ones", len(mails.Received()), len(ids))
	}
}

func TestAMailIsClaimedByOneServer(t *testing.T) {
	p := Store{URL: sharedServer(t).url(), Schema: newSchema()}
	servers := []*database{openStore(t, p), openStore(t, p), openStore(t, p)}
	m := &model.Mail{Purpose: model.PurposeActivation, Due: time.Now().Add(-time.Second)}
	must(t, servers[0].Commit(t.Context(), &model.Change{Mails: []*model.Mail{m}}))
	claimed := make([]bool, len(servers))
	together(len(servers), func(n int) {
		var err error
		if claimed[n], err = servers[n].ClaimMail(t.Context(), m.ID, time.Minute); err != nil {
			t.Error(err)
		}
	})
	for n, s := range servers {
		due, err := s.Mails(t.Context(), time.Now(), 9)
		if err != nil || (len(due) == 1) != claimed[n] {
			t.Errorf("server %d sees %d mails, claimed: %v, %v", n, len(due), claimed, err)
		}
	}
	winner := servers[slices.Index(claimed, true)]
	must(t, winner.PutMail(t.Context(), m)) // to be tried again, by anybody
	for _, s := range servers {
		if due, _ := s.Mails(t.Context(), time.Now(), 9); len(due) != 1 {
			t.Errorf("%d mails", len(due))
		}
	}
}

// follow collects the tokens that a store says have ended.
func follow(s *database) (ended func(model.Digest) bool) {
	var (
		mu  sync.Mutex
		all = make(map[model.Digest]bool)
	)
	s.OnEndings(func(e model.Endings) {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range e.Tokens {
			all[d] = true
		}
	})
	return func(d model.Digest) bool {
		mu.Lock()
		defer mu.Unlock()
		return all[d]
	}
}

// The transaction that begins first, and writes first, ends last.
func TestASlowTransactionIsNotMissed(t *testing.T) {
	for _, silent := range []bool{false, true} {
		p := Store{URL: sharedServer(t).url(), Schema: newSchema(), NoNotifications: silent}
		s, other, ctx := openStore(t, p), openStore(t, p), t.Context()
		ended := follow(s)
		conn, err := pgx.Connect(ctx, p.URL)
		must(t, err)
		defer conn.Close(context.Background())
		tx, err := conn.Begin(ctx)
		must(t, err)
		slow := model.Digest{1}
		_, err = tx.Exec(ctx, s.sql("insert into djoser.endings (node, token) values (0, $1)"), slow[:])
		must(t, err)

		a := &model.Account{Username: "ann", IsActive: true}
		must(t, other.Commit(ctx, &model.Change{Account: a}))
		for n := range 3 {
			d := model.Digest{2, byte(n)}
			must(t, other.Commit(ctx, &model.Change{Token: &model.Token{Digest: d, Account: a.ID, Created: time.Now()}}))
			must(t, other.Commit(ctx, &model.Change{EndToken: &d}))
			testsite.Eventually(t, "a later transaction is seen", func() bool { return ended(d) })
		}
		if ended(slow) {
			t.Error("the transaction is seen before it is committed")
		}
		must(t, tx.Commit(ctx))
		testsite.Eventually(t, "the slow transaction is seen", func() bool { return ended(slow) })
	}
}

func TestAServerSaysWhetherNotificationsComeThrough(t *testing.T) {
	server := sharedServer(t)
	for url, want := range map[string]string{server.url(): "come through", startPgbouncer(t, server): "don't come through"} {
		p := Store{URL: url, Schema: newSchema()}
		core, logs := observer.New(zap.InfoLevel)
		s, err := p.Open(t.Context(), "postgres://h/d/"+p.Schema, zap.New(core))
		must(t, err)
		s.Close()
		if n := logs.FilterMessageSnippet("notifications of the database " + want).Len(); n != 1 {
			t.Errorf("%s: said %d times that they %s", url, n, want)
		}
	}
}

// BenchmarkLogoutSeenElsewhere measures the numbers of docs/scaling.md.
func BenchmarkLogoutSeenElsewhere(b *testing.B) {
	for _, silent := range []bool{false, true} {
		b.Run(fmt.Sprintf("notifications=%v", !silent), func(b *testing.B) {
			p := Store{URL: sharedServer(b).url(), Schema: newSchema(), NoNotifications: silent}
			s, other, ctx := openStore(b, p), openStore(b, p), b.Context()
			ended := follow(other)
			a := &model.Account{Username: "ann", IsActive: true}
			must(b, s.Commit(ctx, &model.Change{Account: a}))
			var took []time.Duration
			for n := range b.N {
				d := model.Digest{byte(n), byte(n >> 8), 1}
				must(b, s.Commit(ctx, &model.Change{Token: &model.Token{Digest: d, Account: a.ID, Created: time.Now()}}))
				must(b, s.Commit(ctx, &model.Change{EndToken: &d}))
				answered := time.Now()
				for !ended(d) {
					time.Sleep(200 * time.Microsecond)
				}
				took = append(took, time.Since(answered))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "worst-ms")
		})
	}
}
