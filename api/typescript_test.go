package api_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// The descriptions are checked by a program that isn't ours, and TypeScript's types are made
// of them; all in one go, since Node is slow to start.
func TestTheDescriptionMakesAClientInTypeScript(t *testing.T) {
	modules, err := filepath.Abs(filepath.Join(os.Getenv(npmVariable), "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "openapi-typescript")); os.Getenv(npmVariable) == "" || err != nil {
		t.Skip("openapi-typescript isn't there: npm install --prefix DIR, with its packages and versions in .ci/run, and set " + npmVariable + " to DIR")
	}
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	source, err := filepath.Abs(filepath.Join("..", "testdata", "typescript"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}

	var files []string
	save := func(s *testsite.Site, name, prefix string) {
		a := s.Get(prefix+"/openapi.json", "")
		a.Want(t, http.StatusOK)
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(a.Body), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name+".json")
	}
	several := serveAll(t)
	for _, r := range described {
		save(several, r.name, "/"+r.name+"/auth")
	}
	f := runFrontEnds(t)
	save(f.Site, "auth", "/auth")

	node := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "node", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	node(append([]string{"make.mjs"}, files...)...)
	compile := []string{
		"node_modules/typescript/bin/tsc", "--strict", "--noUncheckedIndexedAccess", "--skipLibCheck",
		"--target", "es2022", "--lib", "es2023,dom", "--module", "nodenext", "life.mts",
	}
	for _, r := range described {
		compile = append(compile, r.name+".mts")
	}
	node(compile...)
	node("--input-type=module", "--eval", `import { life } from "./life.mjs"; await life(`+f.config(t, frontEnd{})+`)`)
}
