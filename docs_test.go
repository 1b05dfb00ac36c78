package djoser

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
	_ "github.com/caddy-djoser/djoser/stores/postgres" // in docs/scaling.md

	"github.com/caddyserver/caddy/v2"
)

var (
	caddyfileBlock  = regexp.MustCompile("(?s)```caddyfile\n(.*?)```")
	djoserDirective = regexp.MustCompile(`(?m)^\s*djoser\s`)
)

// TestEveryCaddyfileInTheDocumentsLoads checks the examples of the README and the pages. A
// caddyfile block is a whole file, or the content of a site.
func TestEveryCaddyfileInTheDocumentsLoads(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	for _, page := range append(pages, "README.md", "Caddyfile.example") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		found := caddyfileBlock.FindAllStringSubmatch(string(text), -1)
		if page == "Caddyfile.example" {
			found = [][]string{{"", string(text)}}
		}
		for _, block := range found {
			blocks++
			if err := validate(t, block[1]); err != nil {
				t.Errorf("%s: %v\n%s", page, err, block[1])
			}
		}
	}
	if blocks < 2 {
		t.Errorf("only %d Caddyfiles were found", blocks)
	}
}

// validate does what 'caddy validate' does. The text is a whole file, or the content of a
// site or of a djoser directive.
func validate(t *testing.T, text string) error {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("SMTP_USER", "user")
	t.Setenv("DATABASE_URL", "postgres://caddy@db.example.com/accounts")
	for _, name := range []string{"SMTP_PASSWORD", "GOOGLE_SECRET", "GITHUB_SECRET", "CORP_SECRET"} {
		t.Setenv(name, "secret")
	}
	config, err := testsite.Adapt(text)
	beside := docsSettings
	if !strings.Contains(text, "mailer ") {
		beside += "mailer log\n"
	}
	site := "http://docs.test {\n%s\n}"
	if !djoserDirective.MatchString(text) && strings.Contains(text, "djoser_") {
		site = "http://docs.test {\ndjoser /auth/* {\n" + beside + "}\n%s\n}" // which defines the realm
	}
	for _, around := range []string{site, "http://docs.test {\ndjoser /auth/* {\n" + beside + "%s\n}\n}"} {
		if err == nil {
			break
		}
		if inside, errInside := testsite.Adapt(strings.Replace(around, "%s", text, 1)); errInside == nil {
			config, err = inside, nil
		}
	}
	if err != nil {
		return err
	}
	// The test doesn't read or write the machine's files.
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "caddy"), 0o700); err != nil { // as Caddy's packages do
		return err
	}
	config = []byte(strings.NewReplacer("/var/lib/", dir+"/", "{file./run/secrets/smtp}", "{file."+secret+"}").Replace(string(config)))
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		return err
	}
	return caddy.Validate(&parsed)
}

// docsSettings are settings that a line of a djoser directive may need.
const docsSettings = `
domain docs.test
site_name Docs
password_reset_confirm_url "#/r/{uid}/{token}"
activation_url "#/a/{uid}/{token}"
`

var (
	pageLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	pageHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	codeBlock   = regexp.MustCompile("(?s)\n```.*?\n```")
	noAnchor    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the anchors of a page's headings, as GitHub makes them.
func anchors(text string) (list []string) {
	for _, m := range pageHeading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		heading := noAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, strings.ReplaceAll(heading, " ", "-"))
	}
	return list
}

func TestLinksInTheDocumentsLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(pages, "README.md", "CONTRIBUTING.md", "CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pageLink.FindAllStringSubmatch(codeBlock.ReplaceAllString(string(text), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			path, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if anchor == "" || !strings.HasSuffix(target, ".md") {
				continue
			}
			there, err := os.ReadFile(target)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(anchors(string(there)), anchor) {
				t.Errorf("%s: %s has no heading for #%s", page, target, anchor)
			}
		}
	}
	if links < 100 {
		t.Errorf("only %d links were found", links)
	}
}
