// Command walk lists the files of this module that a log-in enters, and those that a
// request for a gated route enters. It needs the counters of -cover:
//
//	go run -cover -covermode=atomic -coverpkg=./... ./bench/walk
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/coverage"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-djoser/djoser"
)

func main() {
	log.SetFlags(0)
	dir, err := os.MkdirTemp("", "walk")
	check(err)
	defer os.RemoveAll(dir)
	address := start(dir)
	defer func() { check(caddy.Stop()) }()

	account := `{"username": "walker", "password": "a long way home"}`
	request(address, "POST", "/auth/register", account, "")
	token := request(address, "POST", "/auth/login", account, "")
	request(address, "GET", "/gated", "", token)

	show(dir, "a log-in", func() { request(address, "POST", "/auth/login", account, "") })
	request(address, "GET", "/gated", "", token) // the log-in removed the account from the cache
	show(dir, "a gated request", func() { request(address, "GET", "/gated", "", token) })
}

// start starts a Caddy with a realm and a gate, and returns its address.
func start(dir string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	address := l.Addr().String()
	check(l.Close())
	text := fmt.Sprintf("{\nadmin off\n}\nhttp://%s {\n\tdjoser /auth/* {\n\t\tdisable password_reset\n\t\tstore badger %s\n\t}\n\tdjoser_auth /gated\n\trespond /gated hello\n}\n", address, filepath.Join(dir, "store"))
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	check(err)
	check(caddy.Load(config, true))
	return address
}

// request sends a request that must succeed, and returns the token of the answer, if
// any.
func request(address, method, path, body, token string) string {
	r, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(body))
	check(err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Token "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(err)
	if resp.StatusCode >= 300 {
		log.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	var answer struct {
		Token string `json:"auth_token"`
	}
	_ = json.Unmarshal(text, &answer) // the body of a gated route isn't JSON
	return answer.Token
}

// show lists the files that do goes through, and how many functions of each.
func show(dir, what string, do func()) {
	time.Sleep(time.Second) // until background work has ended
	check(coverage.ClearCounters())
	do()
	counters, err := os.MkdirTemp(dir, "counters")
	check(err)
	check(coverage.WriteMetaDir(counters))
	check(coverage.WriteCountersDir(counters))
	out, err := exec.Command("go", "tool", "covdata", "func", "-i", counters).Output()
	check(err)

	functions := make(map[string]int)
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		if len(fields) != 3 || fields[2] == "0.0%" || strings.Contains(fields[0], "/bench/") {
			continue
		}
		if file, _, ok := strings.Cut(fields[0], ":"); ok {
			functions[strings.TrimPrefix(file, "github.com/caddy-djoser/djoser/")]++
		}
	}
	packages := make(map[string]bool)
	files := make([]string, 0, len(functions))
	total := 0
	for file, n := range functions {
		packages[filepath.Dir(file)] = true
		files, total = append(files, file), total+n
	}
	slices.SortFunc(files, func(a, b string) int {
		return cmp.Or(cmp.Compare(filepath.Dir(a), filepath.Dir(b)), cmp.Compare(a, b))
	})
	fmt.Printf("%s: %d functions in %d files of %d packages\n", what, total, len(files), len(packages))
	for _, file := range files {
		fmt.Printf("\t%s %d\n", file, functions[file])
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
