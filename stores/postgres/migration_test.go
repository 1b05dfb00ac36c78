package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddy-djoser/djoser/stores/migration"
	"go.uber.org/zap"
)

// place is a store that is migrated.
type place struct {
	migration.Module
	open     func(ctx context.Context, location string, log *zap.Logger) (model.Store, error)
	location string
	schema   string // in PostgreSQL
}

func newPlace(t *testing.T) place {
	t.Helper()
	return newPlaceAt(t, sharedServer(t).url())
}

func newPlaceAt(t *testing.T, url string) place {
	t.Helper()
	p := &Store{URL: url, Schema: newSchema()}
	location, err := p.Location("default")
	must(t, err)
	return place{p, p.Open, location, p.Schema}
}

func newFolder(t *testing.T) place {
	t.Helper()
	b := &badger.Store{Path: t.TempDir() + "/store", Reserve: 1 << 20}
	location, err := b.Location("default")
	must(t, err)
	return place{b, b.Open, location, ""}
}

// use opens a store as a server does.
func (p place) use(t *testing.T, fn func(s model.Store)) {
	t.Helper()
	s, err := p.open(t.Context(), p.location, zap.NewNop())
	must(t, err)
	defer s.Close()
	fn(s)
}

// migrate moves a store into another one.
func migrate(t *testing.T, from, to place) (r *migration.Result, resumed bool, err error) {
	t.Helper()
	source, err := from.OpenSource(t.Context(), from.location, zap.NewNop())
	if err != nil {
		return nil, false, err
	}
	defer source.Close()
	own, err := source.Own(t.Context())
	must(t, err)
	target, resumed, err := to.OpenTarget(t.Context(), to.location, own.LinkKey, zap.NewNop())
	if err != nil {
		return nil, false, err
	}
	defer target.Close()
	r, err = migration.Run(t.Context(), source, target, func(string, float64) {})
	return r, resumed, err
}

func TestAMigrationMovesEveryRecord(t *testing.T) {
	t.Run("directly", func(t *testing.T) { movesEveryRecord(t, newPlace(t), newFolder(t), newPlace(t)) })
	t.Run("through pgbouncer", func(t *testing.T) {
		url := startPgbouncer(t, sharedServer(t))
		movesEveryRecord(t, newPlaceAt(t, url), newFolder(t), newPlaceAt(t, url))
	})
}

// movesEveryRecord moves a store from PostgreSQL into a folder and back.
func movesEveryRecord(t *testing.T, there, embedded, back place) {
	t.Helper()
	var before []byte
	there.use(t, func(s model.Store) {
		fill(t, s)
		before = backupOf(t, s)
	})
	for _, step := range [][2]place{{there, embedded}, {embedded, back}} {
		r, resumed, err := migrate(t, step[0], step[1])
		must(t, err)
		r.Faults = nil
		if want := fmt.Sprint(migration.Result{Users: 49, Tokens: 147, Mails: 98, Groups: 1, Invitations: 1, Held: 1}); resumed || fmt.Sprint(*r) != want {
			t.Errorf("%v, resumed: %v, want %v", *r, resumed, want)
		}
		step[1].use(t, func(s model.Store) {
			for _, signature := range []string{"others", "names"} { // its unique keys get another generation
				must(t, s.Reindex(t.Context(), signature, names))
			}
		})
	}
	back.use(t, func(s model.Store) {
		if !bytes.Equal(backupOf(t, s), before) {
			t.Error("the store that came back differs")
		}
		a := &model.Account{Username: "new", Keys: []model.Key{{Field: "username", Value: "new"}}}
		must(t, s.Commit(t.Context(), &model.Change{Account: a, Signature: "names"}))
		if a.ID != 51 {
			t.Errorf("the next account has the id %d", a.ID)
		}
	})
}

func TestAMigrationRefusesStoresThatAreNotAlone(t *testing.T) {
	refused := func(what string, from, to place, want string) {
		t.Helper()
		if _, _, err := migrate(t, from, to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	for kind, make := range map[string]func(*testing.T) place{"embedded": newFolder, "postgres": newPlace} {
		from, to := make(t), make(t)
		refused(kind+": no source", from, to, "no store")
		from.use(t, func(s model.Store) {
			fill(t, s)
			refused(kind+": a server has the source", from, to, "open")
		})
		to.use(t, func(model.Store) { refused(kind+": a server has the target", from, to, "open") })
		refused(kind+": a target that isn't empty", from, from, "open") // by itself
		full := make(t)
		full.use(t, func(s model.Store) {
			must(t, s.Commit(t.Context(), &model.Change{Account: &model.Account{Username: "ann"}}))
		})
		refused(kind+": a target that isn't empty", from, full, "isn't empty")

		half, other := make(t), make(t)
		interrupt(t, from, half)
		refused(kind+": another source", full, half, "from another store")
		refused(kind+": half a source", half, other, "interrupted")
		if _, err := half.open(t.Context(), half.location, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("%s: a server opens half a target: %v", kind, err)
		}
		from.use(t, func(s model.Store) {
			a, err := s.Account(t.Context(), 1)
			must(t, err)
			a.IsStaff = true
			must(t, s.Commit(t.Context(), &model.Change{Account: a, Signature: "names"}))
		})
		refused(kind+": the source has changed", from, half, "account 1: the source has changed")
	}
}

// interrupt copies an account, and no more.
func interrupt(t *testing.T, from, to place) {
	t.Helper()
	source, err := from.OpenSource(t.Context(), from.location, zap.NewNop())
	must(t, err)
	defer source.Close()
	own, err := source.Own(t.Context())
	must(t, err)
	target, _, err := to.OpenTarget(t.Context(), to.location, own.LinkKey, zap.NewNop())
	must(t, err)
	defer target.Close()
	must(t, target.Fill(t.Context(), func(put func(migration.Record) error) error {
		for r, err := range source.Records(t.Context()) {
			must(t, err)
			return put(r)
		}
		return nil
	}))
}

// A server that doesn't end well is waited for, and then it may have gone.
func TestAServerThatWasKilledCountsForAWhile(t *testing.T) {
	from, to := newPlace(t), newPlace(t)
	from.use(t, func(model.Store) {})
	row := "insert into " + from.schema + ".servers values (1, now() - interval '%d seconds')"
	sharedServer(t).exec(t, fmt.Sprintf(row, 20))
	if _, _, err := migrate(t, from, to); err == nil || !strings.Contains(err.Error(), "20 seconds ago") {
		t.Error(err)
	}
	sharedServer(t).exec(t, "delete from "+from.schema+".servers;"+fmt.Sprintf(row, 60))
	if _, _, err := migrate(t, from, to); err != nil {
		t.Error(err)
	}
}

func TestAServerDoesNotOpenAStoreThatIsMigrated(t *testing.T) {
	from := newPlace(t)
	from.use(t, func(model.Store) {})
	source, err := from.OpenSource(t.Context(), from.location, zap.NewNop())
	must(t, err)
	defer source.Close()
	if _, err := from.open(t.Context(), from.location, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "a migration has the store open") {
		t.Error(err)
	}
}

// crowd stores many accounts.
func crowd(t *testing.T, s model.Store) {
	t.Helper()
	must(t, s.Reindex(t.Context(), "names", names))
	const workers, each = 64, 60
	together(workers, func(w int) {
		for n := range each {
			name := fmt.Sprintf("crowd-%02d-%02d", w, n)
			a := &model.Account{Username: name, Email: name + "@example.com", Fields: map[string]any{"about": strings.Repeat("x", 500)}}
			a.Keys, _ = names(a)
			login := &model.Token{Digest: model.Digest{9, byte(w), byte(n)}, Created: time.Now(), Expires: time.Now().Add(time.Hour)}
			if err := s.Commit(t.Context(), &model.Change{Account: a, Signature: "names", Token: login}); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAMigrationThatWasKilledGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	server := sharedServer(t)
	t.Setenv("DATABASE_URL", server.url())
	from, there, back := newFolder(t), newPlace(t), newFolder(t)
	from.use(t, func(s model.Store) { crowd(t, s) })
	process := testsite.NewProcess(t, "")

	// killed migrates until a condition holds, and kills the command then.
	killed := func(args []string, half func() bool) {
		t.Helper()
		cmd := process.Command(args...)
		must(t, cmd.Start())
		testsite.Eventually(t, "half of it is done", half)
		must(t, cmd.Process.Signal(syscall.SIGKILL))
		if cmd.Wait() == nil {
			t.Fatal("it wasn't killed")
		}
	}
	goesOn := func(args []string) {
		t.Helper()
		r := process.Run("", args...)
		r.Want(t, 0, "Going on with a migration that was interrupted.", " records copied before the interruption.\n", "3840 users, 3840 tokens, 0 mails, 0 groups, 0 invitations, 0 held names: the same in both stores.\n")
	}

	args := []string{"djoser", "migrate", "--from", "badger:" + from.location, "--to", "postgres:{env.DATABASE_URL}", "--schema", there.schema}
	there.use(t, func(model.Store) {}) // makes the schema
	release := lockTable(t, server, there.schema+".tokens")
	killed(args, func() bool { return countRows(t, server, there.schema+".accounts") > 2000 })
	release()
	if n := countRows(t, server, there.schema+".tokens"); n > 0 {
		t.Fatalf("%d tokens were copied already", n)
	}
	goesOn(args)

	slow := startProxy(t, server)
	slow.limit.Store(2 << 20)
	t.Setenv("DATABASE_URL", slow.url)
	args = []string{"djoser", "migrate", "--from", "postgres:{env.DATABASE_URL}", "--to", "badger:" + back.location, "--schema", there.schema}
	killed(args, func() bool { return countIn(back.location+"/journal", "about") > 1500 }) // more than a transaction
	t.Setenv("DATABASE_URL", server.url())
	goesOn(args)
	back.use(t, func(s model.Store) {
		backupOf(t, s) // checks it
		stored, err := s.AccountByKey(t.Context(), model.Key{Field: "username", Value: "crowd-07-31"})
		must(t, err)
		found, err := s.AccountsByEmail(t.Context(), "CROWD-07-31@example.com", 2)
		must(t, err)
		if len(found) != 1 || found[0].ID != stored.ID {
			t.Errorf("by address: %v", found)
		}
	})
}

// lockTable keeps others from writing to a table.
func lockTable(t *testing.T, s *server, table string) (release func()) {
	t.Helper()
	conn := s.connect(t)
	_, err := conn.Exec(context.Background(), "begin; lock table "+table+" in share mode")
	must(t, err)
	return func() { conn.Close(context.Background()) }
}

func countRows(t *testing.T, s *server, table string) (n int) {
	t.Helper()
	conn := s.connect(t)
	defer conn.Close(context.Background())
	must(t, conn.QueryRow(context.Background(), "select count(*) from "+table).Scan(&n))
	return n
}

// countIn counts a text in the files of a folder.
func countIn(dir, text string) (n int) {
	files, _ := filepath.Glob(dir + "/*")
	for _, name := range files {
		content, _ := os.ReadFile(name)
		n += bytes.Count(content, []byte(text))
	}
	return n
}
