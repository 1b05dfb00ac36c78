package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/storetest"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	storetest.Run(t, reopen(Store{URL: sharedServer(t).url()}))
}

// pgbouncer gives each transaction a connection, perhaps another one. It passes no prepared
// statements on, and no notifications.
func TestPostgresSerializableBehindPgbouncer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	url := startPgbouncer(t, sharedServer(t))
	open := reopen(Store{URL: url, NoNotifications: true, Timeout: longTimeout})
	storetest.Run(t, func(t *testing.T) model.Store {
		s := open(t).(*database)
		s.begin.BeginQuery = strings.Replace(s.begin.BeginQuery, "read committed", "serializable", 1)
		return s
	})
}

func TestPostgresCaddyfile(t *testing.T) {
	for _, test := range []struct {
		input string
		want  Store
		err   string
	}{
		{"postgres postgres://h/d", Store{URL: "postgres://h/d"}, ""},
		{"postgres {env.URL} {\n schema a_1\n max_conns 5\n timeout 2s\n statement_timeout 1s\n grace 10m\n notifications off\n}",
			Store{URL: "{env.URL}", Schema: "a_1", MaxConns: 5, Timeout: 2e9, StatementTimeout: 1e9, Grace: 600e9, NoNotifications: true}, ""},
		{"postgres", Store{}, "1 - needs the URL"},
		{`postgres ""`, Store{}, "1 - empty"},
		{"postgres a b", Store{}, `1 - "b"`},
		{"postgres a {\n schema A-B\n}", Store{}, "2 - small letters"},
		{"postgres a {\n max_conns 0\n}", Store{}, "2 - max_conns"},
		{"postgres a {\n pool 1\n}", Store{}, `2 - unknown option "pool"`},
	} {
		var p Store
		err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.input))
		if test.err == "" {
			if err != nil || p != test.want {
				t.Errorf("%s: %+v, %v", test.input, p, err)
			}
			continue
		}
		line, text, _ := strings.Cut(test.err, " - ")
		if err == nil || !strings.Contains(err.Error(), ":"+line) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error is %v", test.input, err)
		}
	}
}

func TestLocationHasNoPassword(t *testing.T) {
	p := Store{URL: "postgres://user:geheim@a:1,b:2/shop?target_session_attrs=read-write"}
	location, err := p.Location("staff")
	if err != nil || location != "postgres://a:1,b:2/shop/djoser_staff" {
		t.Errorf("%s, %v", location, err)
	}
	p.URL = "postgres://user:geheim@a:port/shop"
	if err := p.Validate(); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("the error is %v", err)
	}
}

func TestARoleThatCantChangeTablesIsEnoughAfterTheFirstStart(t *testing.T) {
	server, schema := sharedServer(t), newSchema()
	server.exec(t, "drop role if exists clerk; create role clerk login; revoke create on database postgres from public")
	url := strings.Replace(server.url(), "postgres@", "clerk@", 1)
	if _, err := tryStore(t, Store{URL: url, Schema: schema}); err == nil || !strings.Contains(err.Error(), "a role that may") {
		t.Errorf("the first start: %v", err)
	}
	openStore(t, Store{URL: server.url(), Schema: schema}).Close()
	server.exec(t, fmt.Sprintf(`grant usage on schema %[1]s to clerk;
		grant select, insert, update, delete on all tables in schema %[1]s to clerk; grant usage, select, update on all sequences in schema %[1]s to clerk`, schema))
	s := openStore(t, Store{URL: url, Schema: schema})
	if err := s.Reindex(t.Context(), "a", func(*model.Account) ([]model.Key, error) { return nil, nil }); err != nil {
		t.Error(err)
	}
	if err := s.Commit(t.Context(), &model.Change{Account: &model.Account{Username: "ann"}, Signature: "a"}); err != nil {
		t.Error(err)
	}
	if err := s.sweep(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServersStartTogetherOnAnEmptyDatabase(t *testing.T) {
	p := Store{URL: sharedServer(t).url(), Schema: newSchema()}
	var keys sync.Map
	together(8, func(int) {
		s, err := tryStore(t, p)
		if err != nil {
			t.Error(err)
			return
		}
		keys.Store(string(s.linkKey), true)
	})
	n := 0
	keys.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d keys of links", n)
	}
}

func TestAServerRefusesTheSchemaOfANewerOne(t *testing.T) {
	p := Store{URL: sharedServer(t).url(), Schema: newSchema()}
	openStore(t, p).Close()
	sharedServer(t).exec(t, "update "+p.Schema+".meta set version = 99, oldest = 1")
	openStore(t, p).Close() // which still knows enough
	sharedServer(t).exec(t, "update "+p.Schema+".meta set oldest = 99")
	if _, err := tryStore(t, p); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("the error is %v", err)
	}
}

// Another engine would refuse some statements, or worse, not show what others have ended.
func TestAnEngineThatIsNotPostgreSQLIsRefused(t *testing.T) {
	server := sharedServer(t)
	server.exec(t, `create schema other; create function other.version() returns text language sql as $$ select 'PostgreSQL 15.2-YB-2.25.0.0' $$;
		create role other login superuser; alter role other set search_path = other, pg_catalog`)
	defer server.exec(t, "drop schema other cascade; drop role other")
	_, err := tryStore(t, Store{URL: strings.Replace(server.url(), "postgres@", "other@", 1), Schema: newSchema()})
	if !errors.Is(err, errEngine) {
		t.Errorf("the error is %v", err)
	}
}

func TestExpiredRowsAreSweptByOneServer(t *testing.T) {
	p := Store{URL: sharedServer(t).url(), Schema: newSchema()}
	s, ctx := openStore(t, p), t.Context()
	a := &model.Account{Username: "ann", IsActive: true}
	must(t, s.Commit(ctx, &model.Change{Account: a}))
	for n := range 3 {
		must(t, s.Commit(ctx, &model.Change{Token: &model.Token{Digest: model.Digest{byte(n)}, Account: a.ID, Created: time.Now().Add(-time.Hour), Expires: time.Now().Add(time.Duration(n-1) * time.Minute)}}))
	}
	count := func() (n int) {
		must(t, s.pool.QueryRow(ctx, s.sql("select count(*) from djoser.tokens")).Scan(&n))
		return n
	}
	must(t, s.sweep(ctx))
	if n := count(); n != 3 {
		t.Errorf("%d tokens: it was swept within a minute of its making", n)
	}
	sharedServer(t).exec(t, "update "+p.Schema+".meta set swept = now() - interval '1 hour'")
	must(t, s.sweep(ctx))
	if n := count(); n != 1 && n != 2 {
		t.Errorf("%d tokens are left", n)
	}
}

// A commit whose answer is lost was made or not. Here it was.
func TestAChangeWhoseCommitWasNotAnsweredIsMadeOnce(t *testing.T) {
	s, ctx := openStore(t, Store{URL: sharedServer(t).url(), Schema: newSchema()}), t.Context()
	s.begin.CommitQuery = "commit; select pg_terminate_backend(pg_backend_pid())"
	a := &model.Account{Username: "ann", IsActive: true, Keys: []model.Key{{Field: "username", Value: "ann"}}}
	mail := &model.Mail{Purpose: model.PurposeActivation}
	must(t, s.Commit(ctx, &model.Change{Account: a, Mails: []*model.Mail{mail}}))
	must(t, s.Commit(ctx, &model.Change{Token: &model.Token{Digest: model.Digest{1}, Account: a.ID, Created: time.Now()}}))
	digest := model.Digest{1}
	must(t, s.Commit(ctx, &model.Change{EndToken: &digest}))
	st, err := s.Stats(ctx)
	if err != nil || st.Accounts != 1 || st.Mails != 1 || st.Tokens != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	got, err := s.Account(ctx, a.ID)
	if err != nil || got.Version != 2 || mail.ID == 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestKilledConnectionsLoseNothing(t *testing.T) {
	server := sharedServer(t)
	s := openStore(t, Store{URL: server.url(), Schema: newSchema(), Timeout: longTimeout})
	end := make(chan struct{})
	var (
		mu    sync.Mutex
		made  []uint64
		group sync.WaitGroup
	)
	for n := range 8 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				a := &model.Account{Username: fmt.Sprint(n, i), Keys: []model.Key{{Field: "username", Value: fmt.Sprint(n, " ", i)}}}
				if err := s.Commit(context.Background(), &model.Change{Account: a}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				made = append(made, a.ID)
				mu.Unlock()
			}
		})
	}
	for range 5 {
		mu.Lock()
		before := len(made)
		mu.Unlock()
		testsite.Eventually(t, "accounts are made", func() bool { mu.Lock(); defer mu.Unlock(); return len(made) > before+5 })
		server.killBackends(t)
	}
	close(end)
	group.Wait()
	st, err := s.Stats(t.Context())
	if err != nil || st.Accounts != uint64(len(made)) {
		t.Errorf("%+v, %v: %d were acknowledged", st, err, len(made))
	}
}

func TestADatabaseThatIsGoneComesBack(t *testing.T) {
	server := ownServer(t)
	s := openStore(t, Store{URL: server.url()})
	ctx, a := t.Context(), &model.Account{Username: "ann"}
	must(t, s.Commit(ctx, &model.Change{Account: a}))
	faults := make(chan error, 9)
	s.OnFault(func(fault error) { faults <- fault })
	for range 2 {
		server.kill()
		if err := <-faults; !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("the fault is %v", err)
		}
		if _, err := s.Account(ctx, a.ID); !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("the error is %v", err)
		}
		must(t, server.start())
		if err := <-faults; err != nil {
			t.Errorf("the fault is %v", err)
		}
		must(t, s.Commit(ctx, &model.Change{Account: a}))
	}
}

func TestANetworkThatHangsIsAFault(t *testing.T) {
	p := startProxy(t, sharedServer(t))
	s, ctx := openStore(t, Store{URL: p.url, Schema: newSchema()}), t.Context()
	a := &model.Account{Username: "ann"}
	must(t, s.Commit(ctx, &model.Change{Account: a}))
	p.hang.Lock()
	together(100, func(int) {
		if _, err := s.Account(ctx, a.ID); !errors.Is(err, model.ErrUnavailable) {
			t.Errorf("the error is %v", err)
		}
	})
	if n := s.pool.Stat().TotalConns(); n > defaultMaxConns {
		t.Errorf("%d connections", n)
	}
	p.hang.Unlock()
	testsite.Eventually(t, "the store answers", func() bool { _, err := s.Account(ctx, a.ID); return err == nil })
}

func TestAPrimaryThatBecameReadOnlyRefusesChangesAndReads(t *testing.T) {
	server := ownServer(t)
	s, ctx := openStore(t, Store{URL: server.url(), Timeout: 1e9}), t.Context()
	a := &model.Account{Username: "ann"}
	must(t, s.Commit(ctx, &model.Change{Account: a}))
	server.exec(t, "alter system set default_transaction_read_only = on")
	server.exec(t, "select pg_reload_conf()")
	testsite.Eventually(t, "changes are refused", func() bool {
		return errors.Is(s.Commit(ctx, &model.Change{Account: a}), model.ErrUnavailable)
	})
	if _, err := s.Account(ctx, a.ID); err != nil {
		t.Error(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// together runs a function in n goroutines and waits for them.
func together(n int, fn func(n int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { fn(i) })
	}
	group.Wait()
}
