package djoser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// tryRegister registers and logs in. It can run in any goroutine.
func tryRegister(addr, name string) (token string, err error) {
	form := url.Values{"username": {name}, "password": {"secret-Pw1"}, "email": {name + "@example.com"}}
	for _, path := range []string{"/auth/register", "/auth/login"} {
		resp, err := http.PostForm("http://"+addr+path, form)
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode/100 != 2 {
			return "", fmt.Errorf("%s: %d %s, %v", path, resp.StatusCode, body, err)
		}
		var answer struct {
			AuthToken string `json:"auth_token"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return "", err
		}
		token = answer.AuthToken
	}
	return token, nil
}

func TestABackupUnderLoadHasEveryAcknowledgedAccount(t *testing.T) {
	in := installLoaded(t, required)
	in.Start()
	in.Register("alice", "secret-Pw1")
	in.Post("/auth/password/reset", "", "email", "alice@example.com").Want(t, 200)
	link := in.linkFromMail()

	var (
		mu       sync.Mutex
		tokens   = make(map[string]string)
		workers  sync.WaitGroup
		underway = make(chan struct{})
		done     = make(chan struct{})
	)
	for w := range 4 {
		workers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				name := fmt.Sprintf("user%d-%d", w, i)
				token, err := tryRegister(in.Addr, name)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if tokens[name] = token; len(tokens) == 100 {
					close(underway)
				}
				mu.Unlock()
			}
		})
	}
	<-underway
	mu.Lock()
	acknowledged := make(map[string]string, len(tokens))
	for name, token := range tokens {
		acknowledged[name] = token
	}
	mu.Unlock()
	file := filepath.Join(in.Dir, "it.bak")
	out := in.ok("backup", file)
	close(done)
	workers.Wait()
	in.Stop()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(out, "read back") {
		t.Fatalf("backup: %v, %v, %s", info, err, out)
	}

	restored := installLoaded(t, required)
	restored.ok("restore", file)
	restored.ok("check")
	restored.Start()
	restored.ok("check")
	for name, token := range acknowledged {
		restored.Get("/api/x", token).Want(t, 200, "hello "+name+" ")
	}
	restored.Login("alice", "secret-Pw1")
	restored.Post("/auth/password/reset/confirm", "", "uid", link[0], "token", link[1], "new_password", "other-Pw-2").Want(t, 200)
	restored.Login("alice", "other-Pw-2")
	if _, err := tryRegister(restored.Addr, "newcomer"); err != nil {
		t.Error(err)
	}
}

var resetLink = regexp.MustCompile(`password/reset/confirm/([A-Za-z0-9_-]+)/([a-z0-9-]+)`)

// linkFromMail waits for a mail and returns the uid and the token of its link.
func (in *installation) linkFromMail() []string {
	in.T.Helper()
	var found []string
	testsite.Eventually(in.T, "a mail with a link", func() bool {
		mails, _ := filepath.Glob(filepath.Join(in.Dir, "mails", "*"))
		for _, name := range mails {
			text, err := os.ReadFile(name)
			whole := regexp.MustCompile("=\r?\n").ReplaceAllString(string(text), "") // quoted-printable
			if link := resetLink.FindStringSubmatch(whole); err == nil && link != nil {
				found = link[1:]
			}
		}
		return found != nil
	})
	return found
}

func TestARestoreNeedsAnEmptyStoreAndAWholeBackup(t *testing.T) {
	in := install(t, required)
	in.djoser("pw\n", "user", "add", "alice").Want(t, 0)
	file := filepath.Join(in.Dir, "it.bak")
	in.ok("backup", file)
	in.djoser("", "backup", file).Want(t, 1, "exists: name another")
	in.djoser("", "restore", file).Want(t, 1, "isn't empty")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	other := install(t, required)
	flipped := append([]byte{}, text...)
	flipped[len(text)/2] ^= 1
	for name, bad := range map[string][]byte{
		"cut": text[:len(text)-1], "flipped": flipped, "of another schema": []byte(strings.Replace(string(text), "schema 1", "schema 9", 1)),
		"empty": nil, "foreign": []byte("[]"),
	} {
		path := filepath.Join(other.Dir, "bad.bak")
		os.WriteFile(path, bad, 0o600)
		if r := other.djoser("", "restore", path); r.Status != 1 || !strings.Contains(r.Err, "backup") {
			t.Errorf("%s backup: %d %s", name, r.Status, r.Err)
		}
	}
	if out := other.ok("user", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("a bad backup left %s", out)
	}
	if out := other.ok("restore", file); !strings.HasPrefix(out, "1 user,") {
		t.Errorf("restore: %s", out)
	}
	other.Start()
	other.djoser("", "restore", file).Want(t, 1, "a server is running")
}

func TestACheckReportsAFault(t *testing.T) {
	in := install(t, required)
	in.djoser("pw\n", "user", "add", "alice").Want(t, 0)
	in.ok("check")
	store := filepath.Join(in.Dir, "store")
	db, err := badger.OpenManaged(badger.DefaultOptions(store).WithLogger(nil).WithCompression(options.None))
	if err != nil {
		t.Fatal(err)
	}
	txn := db.NewTransactionAt(db.MaxVersion(), true)
	if err := txn.Set([]byte("zz"), nil); err != nil {
		t.Fatal(err)
	}
	if err := txn.CommitAt(db.MaxVersion()+1, nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	in.djoser("", "check").Want(t, 4, "a key of an unknown kind")
}
