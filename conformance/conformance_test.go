package conformance

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// The conformance tests replay traffic that was recorded from djoser over HTTP
// against Caddy with this module, each case on an empty store. Every difference
// from a recording is a line of its differences, with its rule in
// docs/differences.md. See testdata/README.md.

var update = flag.Bool("update", false, "write the differences anew")

const (
	conformanceData  = "testdata/"
	conformanceBatch = 32 // cases whose realms are open at the same time
	unexplained      = "unexplained"
	noMail           = "<no mail>"
	noticeSubject    = "Your address for "
)

// recording is what was recorded from one version of djoser.
type recording struct {
	layout      string // of the endpoints
	file        string // with the cases
	differences string
	after       string
	settings    string // lines of a Caddyfile for all cases

	// The paths and the statuses of what is done after a case.
	login, me, activate, confirm string
}

var (
	classicRecording = recording{
		layout: "classic", file: "classic.jsonl.gz", differences: "differences.jsonl", after: "after.jsonl",
		login: "login", me: "me", activate: "activate", confirm: "password/reset/confirm",
		settings: `
		user_model {
			username_field username
			required_fields email
			field username char {
				max_length 30
			}
			field email email {
				max_length 75
			}
		}
		password {
			hasher argon2id {
				memory 8KiB
				iterations 1
			}
			max_length 128
			validators off
		}
`,
	}
	v2Recording = recording{
		layout: "v2", file: "v2.jsonl.gz", differences: "v2differences.jsonl", after: "v2after.jsonl",
		login: "token/login/", me: "users/me/", activate: "users/activation/", confirm: "users/reset_password_confirm/",
		settings: `
		username_reset_confirm_url "#/username/reset/confirm/{uid}/{token}"
		password {
			hasher argon2id {
				memory 8KiB
				iterations 1
			}
			max_length 5000
			validators off
		}
`,
	}
)

// replayVariable replays all cases of djoser 2, which takes a minute, in place of every
// third.
const replayVariable = "DJOSER_TEST_REPLAY"

func TestConformance(t *testing.T)   { replayAll(t, &classicRecording) }
func TestConformanceV2(t *testing.T) { replayAll(t, &v2Recording) }

func replayAll(t *testing.T, of *recording) {
	data := loadConformance(t, of)
	cases := data.cases
	switch {
	case testing.Short():
		cases = some(cases, 10)
	case of == &v2Recording && os.Getenv(replayVariable) == "" && !*update:
		cases = some(cases, 3)
	}
	site := testsite.New(t)
	var before []*recordedCase
	described := some(cases, 10) // more would take long
	for batch := range slices.Chunk(cases, conformanceBatch) {
		loaded := false
		for _, c := range batch {
			t.Run(c.Name, func(t *testing.T) {
				s := &testsite.Site{T: t, Addr: site.Addr, Dir: site.Dir}
				if d := data.at(c, "settings"); d != nil {
					checkRefused(s, of, c, strings.Trim(string(d.Want), `"`))
					return
				}
				if !loaded {
					data.load(s, batch)
					loaded = true
					removeStores(s, before)
					before = batch
				}
				r := &replay{Site: s, t: t, c: c, data: data, stored: runningAccounts(t, c.realm), vars: make(map[string]string)}
				if slices.Contains(described, c) {
					r.description = testsite.ParseOpenAPI(t, s.SendRaw("GET /auth/openapi.json HTTP/1.1\r\nConnection: close\r\nHost: "+c.host(s)+"\r\n\r\n").Body)
				}
				r.run()
			})
		}
	}
	if *update {
		data.write(t)
	}
}

// some returns every nth case.
func some(cases []*recordedCase, n int) (chosen []*recordedCase) {
	for i := 0; i < len(cases); i += n {
		chosen = append(chosen, cases[i])
	}
	return chosen
}

// TestConformanceRules compares the data with docs/differences.md.
func TestConformanceRules(t *testing.T) {
	// Known from djoser's code. No recorded answer shows them.
	unseen := []string{
		"a password reset ends the account's tokens",
		"a line break at the end of a username is refused",
		"an address is required where activation mails are sent",
		"last_login is the time of the last login, and none before the first",
	}
	page, err := os.ReadFile("../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[string]int)
	for _, m := range regexp.MustCompile(`(?m)^\| \*\*(.*?)\*\* \|`).FindAllStringSubmatch(string(page), -1) {
		lines[m[1]] = 0
	}
	for _, of := range []*recording{&classicRecording, &v2Recording} {
		data := loadConformance(t, of)
		for _, c := range data.cases {
			for _, d := range data.differences[c.Name] {
				if _, ok := lines[d.Rule]; !ok {
					t.Errorf("%s, %s: docs/differences.md has no rule %q", d.Case, d.At, d.Rule)
				}
				if !slices.Contains(c.places(), d.At) {
					t.Errorf("%s has no %s", d.Case, d.At)
				}
				lines[d.Rule]++
			}
			delete(data.differences, c.Name)
		}
		for name := range data.differences {
			t.Errorf("unknown case %s", name)
		}
	}
	for rule, n := range lines {
		if (n == 0) != slices.Contains(unseen, rule) {
			t.Errorf("%d differences have the rule %q", n, rule)
		}
	}
}
