package djoser

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
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

	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// tryRegister registers and logs in, from any goroutine.
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
	in := install(t, settings)
	stop := in.start()
	in.register("alice", "secret-Pw1")
	in.post("/auth/password/reset", "", "email", "alice@example.com").want(t, 200)
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
				token, err := tryRegister(in.addr, name)
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
	file := filepath.Join(in.dir, "it.bak")
	out := in.ok("backup", file)
	close(done)
	workers.Wait()
	stop()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(out, "read back") {
		t.Fatalf("backup: %v, %v, %s", info, err, out)
	}

	restored := install(t, settings)
	restored.ok("restore", file)
	restored.ok("check")
	restored.start()
	restored.ok("check")
	for name, token := range acknowledged {
		restored.get("/api/x", token).want(t, 200, "hello "+name+" ")
	}
	restored.login("alice", "secret-Pw1")
	restored.post("/auth/password/reset/confirm", "", "uid", link[0], "token", link[1], "new_password", "other-Pw-2").want(t, 200)
	restored.login("alice", "other-Pw-2")
	if _, err := tryRegister(restored.addr, "newcomer"); err != nil {
		t.Error(err)
	}
}

var resetLink = regexp.MustCompile(`password/reset/confirm/([A-Za-z0-9_-]+)/([a-z0-9-]+)`)

// linkFromMail waits for a mail and returns the uid and the token of its link.
func (in *installation) linkFromMail() []string {
	in.t.Helper()
	var found []string
	eventually(in.t, "a mail with a link", func() bool {
		mails, _ := filepath.Glob(filepath.Join(in.dir, "mails", "*"))
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
	in := install(t, settings)
	in.djoser("pw\n", "user", "add", "alice").want(t, 0)
	file := filepath.Join(in.dir, "it.bak")
	in.ok("backup", file)
	in.djoser("", "backup", file).want(t, 1, "is there already")
	in.djoser("", "restore", file).want(t, 1, "isn't empty")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	other := install(t, settings)
	flipped := append([]byte{}, text...)
	flipped[len(text)/2] ^= 1
	for name, bad := range map[string][]byte{
		"cut": text[:len(text)-1], "flipped": flipped, "of another schema": []byte(strings.Replace(string(text), "schema 1", "schema 9", 1)),
		"empty": nil, "foreign": []byte("[]"),
	} {
		path := filepath.Join(other.dir, "bad.bak")
		os.WriteFile(path, bad, 0o600)
		if r := other.djoser("", "restore", path); r.status != 1 || !strings.Contains(r.err, "backup") {
			t.Errorf("%s backup: %d %s", name, r.status, r.err)
		}
	}
	if out := other.ok("user", "list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("a bad backup left %s", out)
	}
	if out := other.ok("restore", file); !strings.HasPrefix(out, "1 users") {
		t.Errorf("restore: %s", out)
	}
	other.start()
	other.djoser("", "restore", file).want(t, 1, "a server is running")
}

// tamper changes the store behind its back.
func (in *installation) tamper(change func(*badger.Txn) error) {
	in.t.Helper()
	db, err := openManaged(badgerOptions(filepath.Join(in.dir, "store"), zap.NewNop()))
	if err != nil {
		in.t.Fatal(err)
	}
	defer db.Close()
	txn := db.NewTransactionAt(db.MaxVersion(), true)
	defer txn.Discard()
	if err := change(txn); err != nil {
		in.t.Fatal(err)
	}
	if err := txn.CommitAt(db.MaxVersion()+1, nil); err != nil {
		in.t.Fatal(err)
	}
}

func TestACheckFindsWhatDoesNotAgree(t *testing.T) {
	token, _ := digestOf(madeUpToken(3))
	for fault, change := range map[string]func(*badger.Txn) error{
		"account 4 isn't found by its username": func(txn *badger.Txn) error {
			return txn.Delete(uniqueKey(1, Key{Field: "username", Value: "user2"}))
		},
		"account 4 isn't found by its address": func(txn *badger.Txn) error {
			return txn.Delete(emailKey("user2@example.com", 4))
		},
		"a unique key leads to account 4, which doesn't have it": func(txn *badger.Txn) error {
			return txn.Set(uniqueKey(1, Key{Field: "username", Value: "user9"}), []byte{0, 0, 0, 0, 0, 0, 0, 4})
		},
		"the index of addresses leads to account 99, which doesn't exist": func(txn *badger.Txn) error {
			return txn.Set(emailKey("x@example.com", 99), []byte{})
		},
		"there are 4 accounts, the counter says 5": func(txn *badger.Txn) error {
			return txn.Delete(numberKey(prefixAccount, 4))
		},
		"account 4: record is damaged": func(txn *badger.Txn) error {
			return txn.Set(numberKey(prefixAccount, 4), []byte("?"))
		},
		"account 6 has token " + token.ID() + ", which doesn't exist": func(txn *badger.Txn) error {
			return txn.Delete(tokenKey(token))
		},
		"token " + token.ID() + " is missing among those of account 6": func(txn *badger.Txn) error {
			return txn.Delete(tokenOfKey(6, token))
		},
		"an index leads to mail 7, which doesn't exist": func(txn *badger.Txn) error {
			return txn.Set(numberKey(prefixMailDue, 1, 7), []byte{})
		},
		"a key of an unknown kind": func(txn *badger.Txn) error { return txn.Set([]byte("zz"), []byte{}) },
		"the key of links has 3":   func(txn *badger.Txn) error { return txn.Set(linkKeyKey, []byte("key")) },
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			in := install(t, settings)
			dump := filepath.Join(in.dir, "dump.json")
			writeLargeDump(t, dump, 5)
			in.ok("import", dump)
			in.ok("check")
			in.tamper(change)
			in.djoser("", "check").want(t, 4, fault)
		})
	}
}

func TestABackupThatNobodyCanReadIsRefused(t *testing.T) {
	account := numberKey(prefixAccount, 1)
	for fault, entries := range map[string][][2][]byte{
		"the key of links has 0 bytes":  {{linkKeyKey, {}}},
		"the key of links has 31 bytes": {{linkKeyKey, make([]byte, 31)}},
		"lacks the key of links":        {{countsKey, (&counts{}).encode()}},
		"a record of kind 'a'":          {{linkKeyKey, make([]byte, 32)}, {account, []byte("?")}},
		"a record of kind 't'":          {{linkKeyKey, make([]byte, 32)}, {tokenKey(Digest{}), nil}},
		"a record of kind 'm'":          {{linkKeyKey, make([]byte, 32)}, {numberKey(prefixMail, 1), []byte{9}}},
		"a record of kind 'u'":          {{linkKeyKey, make([]byte, 32)}, {uniqueKey(1, Key{Field: "username", Value: "x"}), []byte{1}}},
		"a key of kind 'a' has 3 bytes": {{linkKeyKey, make([]byte, 32)}, {[]byte("a12"), []byte{1}}},
	} {
		text := fmt.Appendf(nil, backupHead, badgerSchema)
		for _, e := range entries {
			text = appendBackupEntry(text, e[0], e[1], 0)
		}
		text = append(text, 0)
		sum := sha256.Sum256(text)
		s := newBadger(t, t.TempDir())
		before := string(s.linkKey)
		err := s.Restore(t.Context(), bytes.NewReader(append(text, sum[:]...)))
		if !errors.Is(err, errDamagedBackup) || !strings.Contains(fmt.Sprint(err), fault) {
			t.Errorf("%s: %v", fault, err)
		}
		if string(s.linkKey) != before {
			t.Errorf("%s: the store has another key of links", fault)
		}
	}
}

func TestABrokenOffRestoreIsNotTakenForAStore(t *testing.T) {
	in := install(t, settings)
	in.djoser("pw\n", "user", "add", "alice").want(t, 0)
	in.tamper(func(txn *badger.Txn) error { return txn.Set(restoringKey, []byte{}) })
	in.djoser("", "user", "list").want(t, 1, "a restore was broken off")
}
