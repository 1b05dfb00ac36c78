package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/caddy-djoser/djoser/internal/fileowner"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/lsm"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"github.com/caddy-djoser/djoser/stores/records"
	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/protowire"
)

// newBadger opens a store in a folder, and closes it with the test.
func newBadger(t *testing.T, dir string) *database {
	t.Helper()
	s, err := open(dir, 1<<20, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// raw writes entries without looking at them.
func (s *database) raw(t *testing.T, change func(*batch)) {
	t.Helper()
	err := s.submit(t.Context(), &mutation{apply: func(b *batch) error {
		change(b)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func testAccount(name string) *model.Account {
	return &model.Account{Username: name, Email: name + "@example.com", IsActive: true, Keys: []model.Key{{Field: "username", Value: name}}}
}

// flush writes what is in memory to a table.
func (s *database) flush(t *testing.T) {
	t.Helper()
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.engine.Load().flush(); err != nil {
		t.Fatal(err)
	}
}

// create stores an account.
func (s *database) create(t *testing.T, name string) *model.Account {
	t.Helper()
	a := testAccount(name)
	if err := s.Commit(t.Context(), &model.Change{Account: a}); err != nil {
		t.Fatal(err)
	}
	return a
}

// read returns a stored account.
func (s *database) read(t *testing.T, id uint64) *model.Account {
	t.Helper()
	a, err := s.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestRecordsKeepWhatNewerVersionsAdd(t *testing.T) {
	s := newBadger(t, t.TempDir())
	a := s.create(t, "ann")
	token := &model.Token{Digest: model.Digest{1}, Account: a.ID}
	mail := &model.Mail{Account: a.ID, Due: time.Unix(1, 0)}
	if err := s.Commit(t.Context(), &model.Change{Token: token, Mails: []*model.Mail{mail}}); err != nil {
		t.Fatal(err)
	}
	extra := protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), "from the future")
	extra = protowire.AppendVarint(protowire.AppendTag(extra, 1001, protowire.VarintType), 42)
	keys := [][]byte{records.NumberKey(records.PrefixAccount, a.ID), records.TokenKey(token.Digest), records.NumberKey(records.PrefixMail, mail.ID)}
	s.raw(t, func(b *batch) {
		for _, key := range keys {
			record, err := b.get(key)
			if err != nil {
				t.Error(err)
			}
			b.set(key, slices.Concat(record, extra), 0)
		}
	})
	b, err := s.Account(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.Email = "other@example.com"
	mail.Attempts++
	err = errors.Join(
		s.Commit(t.Context(), &model.Change{Account: b}),
		s.Commit(t.Context(), &model.Change{Token: &model.Token{Digest: model.Digest{2}, Account: a.ID}}),
		s.TouchTokens(t.Context(), map[model.Digest]time.Time{token.Digest: time.Unix(5, 0)}),
		s.PutMail(t.Context(), mail),
	)
	if err != nil {
		t.Fatal(err)
	}
	s.view(t.Context(), func(v snapshot) error {
		for _, key := range keys {
			record, err := v.get(key)
			if err != nil || !strings.Contains(string(record), string(extra)) {
				t.Errorf("the record of %q lost fields: %q, %v", key[0], record, err)
			}
		}
		return nil
	})
}

func TestBadgerErrorsQuoteNoKeys(t *testing.T) {
	for _, text := range []string{
		plainMessage("While reading key: %x, got error: %v", []any{[]byte("secret"), errors.New(`DB::Get key: "secret\"more" err: gone`)}),
		plainMessage("This Range (numTables: %d)\nLeft:\n%s\nRight:\n%s\n", []any{3, "00 secret\n", "\"secret\""}),
		plainMessage("LOG Compact FAILED with error: %+v: %+v", []any{errors.New("full"), struct{ left []byte }{[]byte("secret")}}),
		plainError(errors.New(`DB::Get key: "secret" err: gone`)).Error(),
	} {
		if strings.Contains(text, "secret") || strings.Contains(text, fmt.Sprintf("%x", "secret")) || strings.Contains(text, fmt.Sprint([]byte("secret"))) {
			t.Errorf("a key is quoted: %s", text)
		}
	}
}

func TestBadgerTokensFollowTheClock(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	a := s.create(t, "ann")
	now := time.Now()
	token := &model.Token{Digest: model.Digest{1}, Account: a.ID, Created: now, Expires: now.Add(time.Hour)}
	if err := s.Commit(t.Context(), &model.Change{Token: token}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		jump time.Duration
		err  error
	}{
		{0, nil},
		{-time.Hour + time.Second, nil},
		{-time.Hour - time.Second, model.ErrNotFound},
		{-10 * 365 * 24 * time.Hour, model.ErrNotFound},
		{time.Hour - time.Second, nil},
		{time.Hour + time.Second, model.ErrNotFound},
		{10 * 365 * 24 * time.Hour, model.ErrNotFound},
		{0, nil},
	} {
		s.now = func() time.Time { return now.Add(test.jump) }
		if _, _, err := s.Token(t.Context(), token.Digest); err != test.err {
			t.Errorf("the clock jumps by %v: %v", test.jump, err)
		}
		if tokens, err := s.Tokens(t.Context(), a.ID); err != nil || len(tokens) == 1 != (test.err == nil) {
			t.Errorf("the clock jumps by %v: %d tokens, %v", test.jump, len(tokens), err)
		}
		if _, err := s.Stats(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := s.Account(t.Context(), a.ID); err != nil {
			t.Error(err)
		}
	}
}

func TestBadgerRefusesChangesOnAFullDisk(t *testing.T) {
	s := newBadger(t, t.TempDir())
	a := s.create(t, "ann")
	reserve := s.space.reserve
	s.space.reserve, s.space.ample = 1<<60, time.Time{}
	for name, err := range map[string]error{
		"Commit":      s.Commit(t.Context(), &model.Change{Account: testAccount("bob")}),
		"TouchTokens": s.TouchTokens(t.Context(), map[model.Digest]time.Time{{1}: time.Now()}),
		"DeleteMail":  s.DeleteMail(t.Context(), 1),
		"Reindex":     s.Reindex(t.Context(), "x", func(*model.Account) ([]model.Key, error) { return nil, nil }),
	} {
		if !errors.Is(err, model.ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Account(t.Context(), a.ID); err != nil {
		t.Error(err)
	}
	s.space.reserve = reserve
	s.create(t, "bob")
}

func TestBadgerEndsLoginsFromItsReserve(t *testing.T) {
	s := newBadger(t, t.TempDir())
	ann, bob := s.create(t, "ann"), s.create(t, "bob")
	for n, a := range []*model.Account{ann, ann, bob} {
		token := &model.Token{Digest: model.Digest{byte(n)}, Account: a.ID, Created: time.Now()}
		if err := s.Commit(t.Context(), &model.Change{Token: token, NoLogin: true}); err != nil {
			t.Fatal(err)
		}
	}
	ann, bob = s.read(t, ann.ID), s.read(t, bob.ID)
	free, err := diskspace.Free(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.space.reserve, s.space.ample = free+free/4, time.Time{}
	login := &model.Token{Digest: model.Digest{9}, Account: ann.ID, Created: time.Now()}
	for name, c := range map[string]*model.Change{
		"login":                      {Token: login},
		"login that ends the others": {Token: login, Account: ann, EndTokens: true},
		"register":                   {Account: testAccount("eve")},
		"change":                     {Account: ann},
	} {
		if err := s.Commit(t.Context(), c); !errors.Is(err, model.ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, step := range []struct {
		name string
		c    model.Change
	}{
		{"logout", model.Change{EndToken: &model.Digest{0}}},
		{"new password", model.Change{Account: ann, EndTokens: true}},
		{"delete", model.Change{Account: bob, Delete: true}},
	} {
		if err := s.Commit(t.Context(), &step.c); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	if err := s.DeleteMail(t.Context(), 1); err != nil {
		t.Errorf("deleting a mail: %v", err)
	}
	if stats, err := s.Stats(t.Context()); err != nil || stats.Accounts != 1 || stats.Tokens != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestSpaceIsLeftForTables(t *testing.T) {
	dir := t.TempDir()
	free, err := diskspace.Free(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		reserve, tables int64
		full            bool
	}{
		{1 << 20, 1 << 20, false},
		{1 << 20, 1 << 40, false},
		{free - 64<<20, 1 << 20, false},
		{free - 64<<20, 128 << 20, true},
		{free + 64<<20, 0, true},
	} {
		g := space{dir: dir, reserve: test.reserve, tables: func() (int64, error) { return test.tables, nil }}
		if err := g.check(false); errors.Is(err, model.ErrFull) != test.full {
			t.Errorf("reserve %d, tables %d of %d free: %v", test.reserve, test.tables, free, err)
		}
	}
}

func TestBadgerDeletesAnAccountWithAllTokensItCanHave(t *testing.T) {
	s := newBadger(t, t.TempDir())
	a := s.create(t, "ann")
	digest := func(n int) (d model.Digest) {
		binary.BigEndian.PutUint32(d[:], uint32(n))
		return d
	}
	for n := range records.MaxTokens {
		if n%1000 != 0 {
			continue
		}
		s.raw(t, func(b *batch) {
			for i := n; i < n+1000; i++ {
				ref := records.TokenRef{Created: time.Unix(int64(i), 0)}
				setToken(b, &model.Token{Digest: digest(i), Account: a.ID, Created: ref.Created}, nil)
				b.set(records.TokenOfKey(a.ID, digest(i)), ref.Encode(), 0)
			}
			b.stagedCounts.tokens += 1000
		})
	}
	last := &model.Token{Digest: digest(records.MaxTokens), Account: a.ID, Created: time.Unix(records.MaxTokens, 0)}
	if err := s.Commit(t.Context(), &model.Change{Token: last}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Token(t.Context(), digest(0)); err != model.ErrNotFound {
		t.Errorf("the oldest token: %v", err)
	}
	if tokens, err := s.Tokens(t.Context(), a.ID); err != nil || len(tokens) != records.MaxTokens {
		t.Errorf("%d tokens, %v", len(tokens), err)
	}
	a, err := s.Account(t.Context(), a.ID)
	if err == nil {
		err = s.Commit(t.Context(), &model.Change{Account: a, Delete: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Tokens != 0 || st.Accounts != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}

// A reindex that is broken off after it has begun to write changes nothing.
func TestBadgerReindexBrokenOff(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long, in one goroutine")
	}
	dir := t.TempDir()
	s := newBadger(t, dir)
	for n := range 2 * batchKeys {
		if n%512 != 0 {
			continue
		}
		s.raw(t, func(b *batch) {
			for i := n; i < n+512; i++ {
				a := testAccount(fmt.Sprint(i))
				w := changeWriter{s: s, change: &model.Change{Account: a}, account: a}
				w.fields, _ = records.EncodeAccountFields(w.change.Account)
				if err := w.create(b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	byEmail := func(a *model.Account) ([]model.Key, error) {
		return []model.Key{{Field: "email", Value: a.Email}}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := s.Reindex(ctx, "email", func(a *model.Account) ([]model.Key, error) {
		if calls++; calls == 7*batchKeys/2 {
			cancel()
		}
		return byEmail(a)
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	check := func(key model.Key, want error) {
		t.Helper()
		a, err := s.AccountByKey(t.Context(), key)
		if err != want || err == nil && !slices.Equal(a.Keys, []model.Key{key}) {
			t.Errorf("%v: %+v, %v", key, a, err)
		}
	}
	for range 2 {
		check(model.Key{Field: "username", Value: "7"}, nil)
		check(model.Key{Field: "email", Value: "7@example.com"}, model.ErrNotFound)
		s.Close()
		s = newBadger(t, dir)
	}
	a, err := s.AccountByKey(t.Context(), model.Key{Field: "username", Value: "7"})
	if err != nil {
		t.Fatal(err)
	}
	a.Email, a.Username, a.Keys = "new@example.com", "new", []model.Key{{Field: "username", Value: "new"}}
	if err := s.Commit(t.Context(), &model.Change{Account: a}); err != nil {
		t.Fatal(err)
	}
	check(model.Key{Field: "username", Value: "7"}, model.ErrNotFound)
	check(model.Key{Field: "username", Value: "new"}, nil)
	if err := s.Reindex(t.Context(), "email", byEmail); err != nil {
		t.Fatal(err)
	}
	check(model.Key{Field: "username", Value: "8"}, model.ErrNotFound)
	check(model.Key{Field: "email", Value: "7@example.com"}, model.ErrNotFound)
	check(model.Key{Field: "email", Value: "8@example.com"}, nil)
	check(model.Key{Field: "email", Value: "new@example.com"}, nil)
}

func TestBadgerCleansUp(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	size := func() int64 {
		t.Helper()
		n, err := lsm.Size(dir)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	expire := time.Now().Add(2 * time.Second)
	for n := range 32 {
		s.raw(t, func(b *batch) {
			for i := range 100 {
				setToken(b, &model.Token{Digest: model.Digest{byte(n), byte(i)}, Expires: expire, Agent: strings.Repeat("x", 2000)}, nil)
			}
		})
	}
	s.create(t, "ann")
	s.flush(t)
	if _, err := s.merge(true); err != nil {
		t.Fatal(err)
	}
	full := size()
	time.Sleep(time.Until(expire) + time.Second)
	s.clean()
	if got := size(); got > full/10 {
		t.Errorf("%d bytes became %d: %v", full, got, s.engine.Load().tree.Tables())
	}
	s.create(t, "bob")
	s.Close()
	s = newBadger(t, dir)
	for _, name := range []string{"ann", "bob"} {
		if _, err := s.AccountByKey(t.Context(), model.Key{Field: "username", Value: name}); err != nil {
			t.Error(err)
		}
	}
}

func TestFilesArePrivateFromTheStart(t *testing.T) {
	dir := t.TempDir()
	if err := fileowner.KeepPrivate(t.TempDir()); err != nil {
		t.Skip("the file system has no default access control lists:", err)
	}
	s := newBadger(t, dir)
	s.create(t, "ann")
	s.flush(t)
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := e.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", name, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadsGoOnWhileTablesAreMerged(t *testing.T) {
	s := newBadger(t, t.TempDir())
	var reads sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		reads.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				_, err := s.AccountByKey(t.Context(), model.Key{Field: "username", Value: fmt.Sprint(n % 300)})
				if err != nil && err != model.ErrNotFound {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 300 {
		s.create(t, fmt.Sprint(n))
		if n%10 == 9 {
			s.flush(t)
		}
		if n%20 == 19 {
			if _, err := s.merge(true); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	reads.Wait()
	if err := s.whole(); err != nil {
		t.Error(err)
	}
}

// copyRunning copies an open store, as a power cut leaves it. It begins again if the
// store removes a file meanwhile.
func copyRunning(t *testing.T, dir string) string {
	t.Helper()
	for {
		copied := filepath.Join(t.TempDir(), "store")
		err := os.CopyFS(copied, os.DirFS(dir))
		if err == nil {
			return copied
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// What Badger hasn't written to its tables comes from the journal.
func TestBadgerIsBroughtUpToDateFromItsJournal(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	for n := range 100 {
		s.create(t, fmt.Sprint(n))
	}
	copied := copyRunning(t, dir)
	tables, err := filepath.Glob(filepath.Join(copied, "*.sst"))
	if err != nil || len(tables) > 0 {
		t.Fatal(tables, err)
	}
	s = newBadger(t, copied)
	if found, err := s.Accounts(t.Context(), 0, 1000); err != nil || len(found) != 100 {
		t.Errorf("%d accounts, %v", len(found), err)
	}
	s.create(t, "new")
}

// Stores of schema 1 have changes in Badger's memory tables alone.
func TestBadgerGivesAnOldStoreAJournal(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	for n := range 100 {
		s.create(t, fmt.Sprint(n))
	}
	before := t.TempDir()
	db, err := openManaged(dbOptions(before, zap.NewNop()))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	txn := db.NewTransactionAt(1, true)
	err = s.view(t.Context(), func(v snapshot) error {
		return s.each(t.Context(), v, nil, func(e sst.Entry) error {
			if bytes.Equal(e.Key, records.SequenceKey) {
				return nil
			}
			return txn.Set(bytes.Clone(e.Key), e.Value)
		})
	})
	if err := errors.Join(err, txn.CommitAt(1, nil)); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(old, os.DirFS(before)); err != nil { // as after a kill
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, markerFile), fmt.Appendf(nil, markerText, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = newBadger(t, old)
		if found, err := s.Accounts(t.Context(), 0, 1000); err != nil || len(found) != 100 {
			t.Errorf("%d accounts, %v", len(found), err)
		}
		s.Close()
	}
	if folder, err := checkFolder(old); err != nil || folder.schema != schemaVersion {
		t.Errorf("%+v, %v", folder, err)
	}
}

func (s *database) awaitFault(t *testing.T, fault bool) {
	t.Helper()
	for range 2000 {
		if s.whole() != nil == fault {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the fault is %v", s.whole())
}

func TestBadgerNoticesThatItsFolderWasReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := newBadger(t, dir)
	s.create(t, "ann")
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), &model.Change{Account: testAccount("bob")}); !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("the folder is gone: %v", err)
	}
	other := newBadger(t, dir)
	other.create(t, "other")
	if err := s.Commit(t.Context(), &model.Change{Account: testAccount("bob")}); !errors.Is(err, model.ErrUnavailable) {
		t.Errorf("the folder is another one: %v", err)
	}
	other.Close()
	if err := errors.Join(os.RemoveAll(dir), os.Rename(dir+".away", dir)); err != nil {
		t.Fatal(err)
	}
	s.awaitFault(t, false)
	s.create(t, "bob")
	if found, err := s.Accounts(t.Context(), 0, 10); err != nil || len(found) != 2 {
		t.Errorf("%d accounts, %v", len(found), err)
	}
}

func TestBadgerIsOpenedAgainAfterAFault(t *testing.T) {
	s := newBadger(t, t.TempDir())
	s.create(t, "ann")
	s.fail("the disk is gone, says the test")
	if err := s.Commit(t.Context(), &model.Change{Account: testAccount("bob")}); !errors.Is(err, model.ErrUnavailable) {
		t.Error(err)
	}
	s.awaitFault(t, false)
	s.create(t, "bob")
	if found, err := s.Accounts(t.Context(), 0, 10); err != nil || len(found) != 2 {
		t.Errorf("%d accounts, %v", len(found), err)
	}
}

func TestBadgerNamesDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	s := newBadger(t, dir)
	for n := range 50 {
		s.create(t, fmt.Sprint(n))
	}
	s.Close()
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	whole, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{10, len(whole) / 4, len(whole) / 2, len(whole) - 200} {
		damaged := slices.Clone(whole)
		damaged[at] ^= 0x10
		if err := os.WriteFile(names[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := open(dir, 1<<20, zap.NewNop())
		if err == nil {
			for range 1000 {
				if s.fault.Load() != nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if err = s.Commit(t.Context(), &model.Change{Account: testAccount("new")}); err == nil {
				t.Errorf("byte %d: a damaged store takes changes", at)
				continue
			}
			if !errors.Is(err, model.ErrUnavailable) {
				t.Errorf("byte %d: the error isn't ErrUnavailable: %v", at, err)
			}
			for n := range 50 {
				if _, err := s.AccountByKey(t.Context(), model.Key{Field: "username", Value: fmt.Sprint(n)}); errors.Is(err, model.ErrNotFound) {
					t.Errorf("byte %d: account %d is not found", at, n)
				}
			}
			s.Close()
		}
		if !strings.Contains(err.Error(), filepath.Base(names[0])) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("byte %d: the error names no file or mend: %v", at, err)
		}
	}
}

// A change that is refused since another one was faster isn't answered before that one is durable:
// who is told that a token has ended must not see it pass.
func TestARefusalWaitsForItsReason(t *testing.T) {
	s := newBadger(t, t.TempDir())
	token := &model.Token{Digest: model.Digest{1}, Account: s.create(t, "ann").ID}
	if err := s.Commit(t.Context(), &model.Change{Token: token}); err != nil {
		t.Fatal(err)
	}
	end := func() *mutation {
		w, err := newChangeWriter(s, &model.Change{EndToken: &token.Digest})
		if err != nil {
			t.Fatal(err)
		}
		return &mutation{apply: w.apply, ends: true, done: make(chan error, 1)}
	}
	first, second := end(), end()
	last := &mutation{done: make(chan error, 1), apply: func(*batch) error {
		if len(second.done) > 0 {
			t.Error("it is answered before the commit")
		}
		return nil
	}}
	s.writing.Lock()
	s.queue <- &mutation{done: make(chan error, 1), apply: func(*batch) error { return nil }}
	for len(s.queue) > 0 { // until the writer has taken it, and waits for the lock
		time.Sleep(time.Millisecond)
	}
	s.queue <- second
	s.queue <- last
	s.commitAll(first)
	s.writing.Unlock()
	if err := <-first.done; err != nil {
		t.Error(err)
	}
	if err := <-second.done; !errors.Is(err, model.ErrNotFound) {
		t.Errorf("the second one: %v", err)
	}
}
