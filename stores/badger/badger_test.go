package badger_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddy-djoser/djoser/storetest"
)

// tryBadger opens a Badger store in a folder.
func tryBadger(t testing.TB, dir string) (model.Store, error) {
	t.Helper()
	b := badger.Store{Path: dir, Reserve: 1 << 20}
	location, err := b.Location("default")
	if err != nil {
		t.Fatal(err)
	}
	return b.Open(t.Context(), location, zap.NewNop())
}

// openBadger opens a Badger store that is closed with the test.
func openBadger(t testing.TB, dir string) model.Store {
	t.Helper()
	s, err := tryBadger(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// refuses checks that a store isn't opened, and that the error says why.
func refuses(t *testing.T, dir string, why ...string) {
	t.Helper()
	s, err := tryBadger(t, dir)
	if err == nil {
		s.Close()
		t.Fatal("the store was opened")
	}
	for _, text := range append(why, dir) {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error doesn't say %q: %v", text, err)
		}
	}
}

func TestBadger(t *testing.T) {
	var folders sync.Map
	storetest.Run(t, func(t *testing.T) model.Store {
		dir, ok := folders.Load(t.Name())
		if !ok {
			dir = t.TempDir()
			folders.Store(t.Name(), dir)
		}
		return openBadger(t, dir.(string))
	})
}

func TestBadgerCaddyfile(t *testing.T) {
	for _, test := range []struct {
		input string
		want  badger.Store
		err   string
	}{
		{"badger", badger.Store{}, ""},
		{"badger /srv/users", badger.Store{Path: "/srv/users"}, ""},
		{"badger {env.STORE} {\n reserve 1GiB\n}", badger.Store{Path: "{env.STORE}", Reserve: 1 << 30}, ""},
		{"badger {\n reserve 64MB\n}", badger.Store{Reserve: 64_000_000}, ""},
		{"badger {\n}", badger.Store{}, ""},
		{`badger ""`, badger.Store{}, "1 - name a folder"},
		{"badger /a b", badger.Store{}, `1 - "b"`},
		{"badger {\n size 1\n}", badger.Store{}, `2 - unknown option "size"`},
		{"badger {\n reserve\n}", badger.Store{}, "2 - such as 64MB"},
		{"badger {\n reserve much\n}", badger.Store{}, `2 - "much"`},
		{"badger {\n reserve 0\n}", badger.Store{}, `2 - "0"`},
		{"badger {\n reserve 1MB 2MB\n}", badger.Store{}, `2 - "2MB"`},
		{"badger {\n reserve 1MB\n reserve 2MB\n}", badger.Store{}, "3 - twice"},
	} {
		t.Run(test.input, func(t *testing.T) {
			var b badger.Store
			err := b.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.input))
			if test.err == "" {
				if err != nil || b != test.want {
					t.Fatalf("got %+v, %v, want %+v", b, err, test.want)
				}
				return
			}
			line, text, _ := strings.Cut(test.err, " - ")
			if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "Testfile:"+line) {
				t.Fatalf("the error is %v, want %q in line %s", err, text, line)
			}
		})
	}
}

func TestBadgerLocation(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "real"), link); err != nil {
		t.Skip(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_DATA_HOME", dir)
	t.Chdir(dir)
	for _, test := range []struct{ path, realm, want string }{
		{"", "default", "caddy/djoser/default"},
		{"", "Größe 1", "caddy/djoser/Größe 1"},
		{"link", "x", "real"},
		{link + "/not/there", "x", "real/not/there"},
		{"./real/../link/a", "x", "real/a"},
		{"new", "x", "new"},
	} {
		got, err := (&badger.Store{Path: test.path}).Location(test.realm)
		if err != nil || got != filepath.Join(dir, test.want) {
			t.Errorf("path %q of realm %q is at %s, %v; want %s", test.path, test.realm, got, err, test.want)
		}
	}
	for _, realm := range []string{"../up", "a/b", ".", "..", ""} {
		if got, err := (&badger.Store{}).Location(realm); err == nil {
			t.Errorf("realm %q is at %s", realm, got)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("the location was touched: %v, %v", entries, err)
	}
}

func TestBadgerMakesItsFolder(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	b := badger.Store{Reserve: 1 << 20}
	location, err := b.Location("default")
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Open(t.Context(), location, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	refuses(t, filepath.Join(t.TempDir(), "missing", "store"), "missing doesn't exist")
}

func TestBadgerKeepsOthersOut(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("rights are lists there, which the folder inherits")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := openBadger(t, dir)
	register(t, s, "ann")
	check := func() {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				err = fmt.Errorf("%s has rights %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	check()
	s.Close()
	check()
}

// everything lists the names and rights of what is in a folder, and the
// folder's own.
func everything(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&list, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

func TestBadgerLeavesFoldersOfOthersAlone(t *testing.T) {
	for name, files := range map[string][]string{
		"a site":                {"index.html"},
		"a hidden file":         {".bashrc"},
		"a folder":              {"sub/"},
		"a database":            {"MANIFEST", "LOCK", "000001.vlog", "00001.mem", "KEYREGISTRY"},
		"tables":                {"MANIFEST", "000001.sst"},
		"a log of a database":   {"000001.vlog"},
		"a lock":                {"LOCK"},
		"a site and a draft":    {"index.html", "DJOSER.new"},
		"tables and a draft":    {"000001.sst", "DJOSER.new"},
		"a new disk and a file": {"lost+found/", "file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range files {
				var err error
				if folder, ok := strings.CutSuffix(file, "/"); ok {
					err = os.Mkdir(filepath.Join(dir, folder), 0o755)
				} else {
					err = os.WriteFile(filepath.Join(dir, file), nil, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			before := everything(t, dir)
			refuses(t, dir)
			if after := everything(t, dir); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
		})
	}
}

func TestBadgerGoesOnWithAFirstStartThatWasBrokenOff(t *testing.T) {
	dir := t.TempDir()
	s := openBadger(t, dir)
	s.Close()
	for _, draft := range []string{"", "caddy-djo"} {
		for _, name := range []string{"*.sst", "DJOSER"} {
			found, err := filepath.Glob(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range found {
				os.Remove(file)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "DJOSER.new"), []byte(draft), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(dir, "MANIFEST"))
		s := openBadger(t, dir)
		register(t, s, "ann")
		s.Close()
	}
}

func TestBadgerRefusesFolders(t *testing.T) {
	write := func(t *testing.T, dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made := func(t *testing.T) string {
		dir := t.TempDir()
		s := openBadger(t, dir)
		register(t, s, "ann")
		s.Close()
		return dir
	}
	remove := func(t *testing.T, dir, pattern string) {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("that hold something else", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "index.html", "hello")
		refuses(t, dir, "index.html", "empty folder")
	})
	t.Run("that are files", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "file", "hello")
		refuses(t, filepath.Join(dir, "file"), "folder of its own")
	})
	t.Run("whose MANIFEST is missing", func(t *testing.T) {
		dir := made(t)
		remove(t, dir, "MANIFEST")
		refuses(t, dir, "MANIFEST", "backup")
		if tables, _ := filepath.Glob(filepath.Join(dir, "*.sst")); len(tables) == 0 {
			t.Error("the tables were deleted")
		}
	})
	t.Run("whose tables are missing", func(t *testing.T) {
		dir := made(t)
		remove(t, dir, "*.sst")
		refuses(t, dir, "backup")
	})
	t.Run("whose marker is missing", func(t *testing.T) {
		dir := made(t)
		remove(t, dir, "DJOSER")
		refuses(t, dir, "DJOSER")
	})
	t.Run("whose marker is damaged", func(t *testing.T) {
		dir := made(t)
		write(t, dir, "DJOSER", "caddy-djoser store, schema x\n")
		refuses(t, dir, "DJOSER", "backup")
	})
	t.Run("of a newer version", func(t *testing.T) {
		dir := made(t)
		text, err := os.ReadFile(filepath.Join(dir, "DJOSER"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "DJOSER", strings.Replace(string(text), "schema 2", "schema 3", 1))
		refuses(t, dir, "schema 3", "newer version")
	})
	t.Run("that it may not write in", func(t *testing.T) {
		if os.Geteuid() == 0 || runtime.GOOS == "windows" {
			t.Skip("root may write everywhere")
		}
		dir := made(t)
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(dir, 0o700)
		refuses(t, dir, "uid")
	})
	t.Run("that are open already", func(t *testing.T) {
		dir := t.TempDir()
		openBadger(t, dir)
		refuses(t, dir, "in use by this process", "caddy reload")
	})
	t.Run("on a disk that is full", func(t *testing.T) {
		dir := made(t)
		b := badger.Store{Path: dir, Reserve: 1 << 60}
		if _, err := b.Open(t.Context(), dir, zap.NewNop()); !errors.Is(err, model.ErrFull) {
			t.Error(err)
		}
	})
}

// register creates an account with a unique name.
func register(t testing.TB, s model.Store, name string) *model.Account {
	t.Helper()
	a := newAccount(name)
	if err := s.Commit(t.Context(), &model.Change{Account: a}); err != nil {
		t.Fatal(err)
	}
	return a
}

func newAccount(name string) *model.Account {
	return &model.Account{
		Username: name,
		Email:    name + "@example.com",
		IsActive: true,
		Keys:     []model.Key{{Field: "username", Value: name}},
	}
}
