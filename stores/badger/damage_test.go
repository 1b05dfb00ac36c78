package badger_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"go.uber.org/zap"
)

// Every kind of file of a store is damaged in every way. What was acknowledged
// must be there then, or an error say that it can't be read.

const damagedAccounts = 240

// fillForDamage makes accounts 1 to damagedAccounts with a token each, in tables
// and in the journal, and revokes the token of every third account.
func fillForDamage(t *testing.T, dir string) model.Store {
	t.Helper()
	s := openBadger(t, dir)
	for n := 1; n <= damagedAccounts; n++ {
		if n%80 == 40 {
			s.Close() // writes a table
			s = openBadger(t, dir)
		}
		err := s.Commit(t.Context(), &model.Change{Account: newAccount(fmt.Sprint("name", n)), Token: numberedToken(n)})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := 3; n <= damagedAccounts; n += 3 {
		digest := numberedToken(n).Digest
		if err := s.Commit(t.Context(), &model.Change{EndToken: &digest}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// less returns what a store has silently lost, or "".
func less(s model.Store) string {
	ctx := context.Background()
	for n := 1; n <= damagedAccounts; n++ {
		if _, err := s.AccountByKey(ctx, model.Key{Field: "username", Value: fmt.Sprint("name", n)}); errors.Is(err, model.ErrNotFound) {
			return fmt.Sprintf("account %d is not found", n)
		}
		_, _, err := s.Token(ctx, numberedToken(n).Digest)
		if n%3 == 0 && err == nil {
			return fmt.Sprintf("token %d is valid again", n)
		}
		if n%3 != 0 && errors.Is(err, model.ErrNotFound) {
			return fmt.Sprintf("token %d is not found", n)
		}
		err = s.Commit(ctx, &model.Change{Account: newAccount(fmt.Sprint("name", n))})
		if err == nil {
			return fmt.Sprintf("the name of account %d can be registered again", n)
		}
	}
	found, err := s.Accounts(ctx, 0, 2*damagedAccounts)
	if err == nil && len(found) != damagedAccounts {
		return fmt.Sprintf("%d accounts are listed", len(found))
	}
	return ""
}

var damages = map[string]func(name string) error{
	"a bit flipped at the start": func(name string) error { return editFile(name, func(b []byte) { b[min(20, len(b)-1)] ^= 4 }) },
	"a bit flipped":              func(name string) error { return editFile(name, func(b []byte) { b[len(b)/3] ^= 4 }) },
	"a bit flipped at the end":   func(name string) error { return editFile(name, func(b []byte) { b[len(b)*15/16] ^= 4 }) },
	"a page zeroed":              func(name string) error { return editFile(name, func(b []byte) { clear(b[:min(4096, len(b))]) }) },
	"zeroed":                     func(name string) error { return editFile(name, func(b []byte) { clear(b) }) },
	"cut to 8 bytes":             func(name string) error { return os.Truncate(name, 8) },
	"cut to 24 bytes":            func(name string) error { return os.Truncate(name, 24) },
	"cut in half": func(name string) error {
		info, err := os.Stat(name)
		return errors.Join(err, os.Truncate(name, info.Size()/2))
	},
	"emptied": func(name string) error { return os.Truncate(name, 0) },
	"deleted": os.Remove,
	"exchanged": func(name string) error {
		all, err := filepath.Glob(filepath.Join(filepath.Dir(name), "*"+filepath.Ext(name)))
		if i := slices.Index(all, name); i > 0 {
			return errors.Join(os.Rename(name, name+"x"), os.Rename(all[0], name), os.Rename(name+"x", all[0]))
		}
		return err
	},
}

// editFile changes a file in place, so that memory maps of it see the change.
func editFile(name string, edit func([]byte)) error {
	b, err := os.ReadFile(name)
	if err != nil || len(b) == 0 {
		return err
	}
	edit(b)
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// filesOf returns the files of a store, without those that only name it.
func filesOf(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, name[len(dir)+1:])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func copyStore(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range filesOf(t, from) {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the store has removed it meanwhile
		}
		if err == nil {
			err = errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o700), os.WriteFile(filepath.Join(to, name), b, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestDamageIsRefusedOrRepairedAtTheStart(t *testing.T) {
	if testing.Short() {
		t.Skip("opens hundreds of stores")
	}
	settled, running := t.TempDir(), t.TempDir()
	fillForDamage(t, settled).Close()
	s := fillForDamage(t, running)
	defer s.Close()
	for _, state := range []struct{ name, dir string }{{"settled", settled}, {"after a kill", running}} {
		outcome := map[string]int{}
		for _, file := range filesOf(t, state.dir) {
			for how, damage := range damages {
				t.Run(fmt.Sprintf("%s/%s %s", state.name, file, how), func(t *testing.T) {
					dir := copyStore(t, state.dir)
					if err := damage(filepath.Join(dir, file)); err != nil {
						t.Fatal(err)
					}
					b := badger.Store{Path: dir, Reserve: 1 << 20}
					s, err := b.Open(t.Context(), dir, zap.NewNop())
					if err != nil {
						outcome["refused"]++
						if !strings.Contains(err.Error(), dir) {
							t.Errorf("the error names no folder: %v", err)
						}
						return
					}
					defer s.Close()
					outcome["opened"]++
					if lost := less(s); lost != "" {
						t.Error(lost)
					}
				})
			}
		}
		t.Logf("%s: %v", state.name, outcome)
	}
}

func TestDamageOfARunningStoreIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long, in one goroutine")
	}
	for how, damage := range damages {
		if how == "exchanged" {
			continue // Badger has the files open
		}
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			s := fillForDamage(t, dir)
			defer s.Close()
			tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
			if err != nil || len(tables) != 3 {
				t.Fatal(tables, err)
			}
			for _, name := range tables {
				if err := damage(name); err != nil {
					t.Fatal(err)
				}
			}
			if lost := less(s); lost != "" {
				t.Error(lost)
			}
		})
	}
}
