package djoser

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var repairAdvice = regexp.MustCompile("`caddy djoser (repair [^`]+)`")

func TestADamagedStoreIsRepairedAsItsErrorSays(t *testing.T) {
	in := install(t, required)
	in.Start()
	token := in.Register("alice", "secret-Pw1")
	in.Stop()
	store := filepath.Join(in.Dir, "store")
	in.ok("check")
	if err := os.Truncate(filepath.Join(store, "MANIFEST"), 8); err != nil {
		t.Fatal(err)
	}
	refused := in.djoser("", "check")
	advice := repairAdvice.FindStringSubmatch(refused.Err)
	if refused.Status != 1 || advice == nil {
		t.Fatalf("%d %s", refused.Status, refused.Err)
	}
	args := strings.Fields(advice[1])
	repair := in.djoser("", args...)
	repair.Want(t, 4, "1 fault in the damaged store; the new one is consistent")
	if !strings.Contains(repair.Out, "file MANIFEST: ") || !strings.HasSuffix(repair.Out, "1 user, 1 token, 0 mails.\n") {
		t.Errorf("the repair reports %s", repair.Out)
	}
	in.djoser("", args...).Want(t, 1, "isn't empty")
	if err := os.Rename(store, store+".damaged"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(args[2], store); err != nil {
		t.Fatal(err)
	}
	in.ok("check")
	in.Start()
	in.Get("/auth/me", token).Want(t, 200)
	in.djoser("", "repair", store, store+".new").Want(t, 1, "in use")
}

func TestARestoreGoesOnWithTheJournal(t *testing.T) {
	in := install(t, required)
	in.Start()
	in.Register("alice", "secret-Pw1")
	file, journal := filepath.Join(in.Dir, "it.bak"), filepath.Join(in.Dir, "store", "journal")
	in.ok("backup", file)
	in.Register("bob", "secret-Pw1")
	moment := time.Now()
	in.Register("carol", "secret-Pw1")
	in.Stop()
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "3 users"},
		{[]string{"--until", moment.Format(time.RFC3339Nano)}, "2 users"},
	} {
		other := install(t, required)
		if out := other.ok(append([]string{"restore", file, "--journal", journal}, test.args...)...); !strings.HasPrefix(out, test.want) {
			t.Errorf("%s instead of %s", out, test.want)
		}
		other.Start()
		other.Login("bob", "secret-Pw1")
	}
	other := install(t, required)
	other.djoser("", "restore", file, "--until", "2030-01-01T00:00:00Z").Want(t, 1, "needs --journal")
	other.djoser("", "restore", file, "--journal", journal, "--until", "noon").Want(t, 1, "2030-01-01T12:30:00Z")
	other.djoser("", "restore", file, "--journal", in.Dir).Want(t, 1, "holds no journal")
}
