package djoser

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestCommandSessions types what is in testdata/commands. Each file is a session in a folder
// with a Caddyfile, whose realm has the lines of the file realm, too. There are these commands
// besides those of package testscript:
//
//	serve           runs a server
//	stop            ends it
//	register <form> asks the server for an account
//	fails <status>  runs a command that must exit with that status
func TestCommandSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("runs processes")
	}
	bin := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(bin, "caddy")); err != nil {
		t.Skip(err)
	}
	type processKey struct{}
	process := func(ts *testscript.TestScript) *testsite.Process { return ts.Value(processKey{}).(*testsite.Process) }
	testscript.Run(t, testscript.Params{
		Dir: "testdata/commands",
		Setup: func(env *testscript.Env) error {
			tb := env.T().(testing.TB)
			p := &testsite.Process{Site: &testsite.Site{T: tb, Addr: testsite.FreeAddress(tb), Dir: env.WorkDir}, Admin: testsite.FreeAddress(tb)}
			lines, err := os.ReadFile(filepath.Join(p.Dir, "realm"))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			p.Configure(gated(required + string(lines)))
			env.Values[processKey{}] = p
			env.Defer(p.Stop)
			for name, value := range map[string]string{
				"PATH": bin + string(os.PathListSeparator) + os.Getenv("PATH"), "TESTSITE_CADDY": "1", "ADMIN": p.Admin,
				"DIR": p.Dir, "HOME": p.Dir, "XDG_DATA_HOME": p.Dir, "XDG_CONFIG_HOME": p.Dir,
			} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve": func(ts *testscript.TestScript, _ bool, _ []string) { process(ts).Start() },
			"stop":  func(ts *testscript.TestScript, _ bool, _ []string) { process(ts).Stop() },
			"register": func(ts *testscript.TestScript, _ bool, args []string) {
				if a := process(ts).Do("POST", "/auth/register", args[0], "Content-Type", drf.MediaForm); a.Status != 201 {
					ts.Fatalf("%d %s", a.Status, a.Body)
				}
			},
			"fails": fails,
		},
	})
}

// fails runs a command that must exit with a status.
func fails(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		ts.Fatalf("%v: %v, want status %d", args[1:], err, want)
	}
}
