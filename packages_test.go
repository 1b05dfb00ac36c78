package djoser

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport are the packages of this module that each package may import. Other packages
// are the root and programs.
var mayImport = map[string]string{
	"model":                 "internal/fieldtype internal/username password",
	"account":               "model internal/fieldtype internal/username mfa password throttle",
	"authn":                 "account model drf jwt password",
	"drf":                   "account model internal/fieldtype",
	"api":                   "account model authn drf jwt serializers social internal/cors internal/request",
	"serializers":           "account model drf internal/fieldtype jwt mfa social",
	"gate":                  "account model authn drf jwt internal/cors internal/directive internal/placement internal/request",
	"pages":                 "account model authn drf internal/directive internal/mount internal/request serializers social",
	"mail":                  "model templates internal/directive internal/fieldtype",
	"settings":              "account api model jwt mail password social throttle internal/cors internal/directive internal/pwned",
	"stores/records":        "model internal/fieldtype internal/username",
	"stores/backup":         "stores/records model",
	"stores/migration":      "stores/records model",
	"stores/badger/journal": "internal/atomicfile",
	"stores/badger/changes": "stores/badger/journal stores/records model",
	"stores/badger/check":   "stores/records model",
	"stores/badger/sst":     "",
	"stores/badger/lsm":     "stores/badger/sst internal/diskspace",
	"stores/badger/repair":  "stores/backup stores/badger/changes stores/badger/journal stores/badger/sst stores/records model",
	"stores/badger":         "stores/backup stores/badger/changes stores/badger/check stores/badger/journal stores/badger/lsm stores/badger/repair stores/badger/sst stores/migration stores/records model internal/atomicfile internal/directive internal/diskspace internal/fileowner",
	"django":                "account mfa model drf internal/fieldtype jwt password",
	"admin":                 "account model django doctor drf serializers stores/migration internal/atomicfile internal/directive internal/fieldtype internal/fileowner",
	"stores/postgres":       "stores/backup stores/migration stores/records model throttle internal/directive",
	"doctor":                "internal/diskspace internal/fileowner",
	"storetest":             "model",
	"passkeys":              "account model",
	"internal/fieldtype":    "internal/username",
	"internal/mount":        "internal/directive internal/placement",
	"internal/history":      "internal/testsite",
	"internal/request":      "account model drf password",

	"conformance": "", "social": "", "jwt": "", "mfa": "", "password": "", "throttle": "", "templates": "", "internal/atomicfile": "", "internal/browser": "", "internal/cors": "", "internal/directive": "", "internal/diskspace": "",
	"internal/fileowner": "", "internal/placement": "", "internal/pwned": "", "internal/testsite": "", "internal/username": "",
}

// mayNotNeed are packages that must not be imported, directly or indirectly.
var mayNotNeed = map[string][]string{
	"model":       {"net/http", "github.com/caddyserver/", "go.uber.org/zap"},
	"account":     {"net/http", "github.com/caddyserver/", "go.uber.org/zap"},
	"password":    {"net/http", "github.com/caddyserver/", "go.uber.org/zap"},
	"drf":         {"github.com/caddyserver/", "go.uber.org/zap"},
	"mfa":         {"net/http", "github.com/caddyserver/", "go.uber.org/zap"},
	"social":      {"github.com/caddyserver/", "go.uber.org/zap"},
	"jwt":         {"net/http", "github.com/caddyserver/", "go.uber.org/zap"},
	"authn":       {"github.com/caddyserver/", "go.uber.org/zap"},
	"serializers": {"github.com/caddyserver/", "go.uber.org/zap"},
	"django":      {"github.com/caddyserver/", "go.uber.org/zap"},
	"cmd/caddy":   {"github.com/go-webauthn/"}, // only builds with package passkeys have it
}

func TestPackagesKeepToTheirDirections(t *testing.T) {
	list := func(args ...string) []string {
		t.Helper()
		out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	for _, line := range list("-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		imports := strings.Fields(strings.ReplaceAll(line, modulePath+"/", ""))
		name := imports[0]
		allowed, ours := mayImport[name]
		if !ours {
			if name != modulePath && !strings.HasPrefix(name, "bench/") && name != "examples" && !strings.HasPrefix(name, "examples/") && !strings.HasPrefix(name, "cmd/") {
				t.Errorf("package %s has no line in mayImport", name)
			}
			continue
		}
		for _, path := range imports[1:] {
			_, isOurs := mayImport[path]
			if path == modulePath || isOurs && !slices.Contains(strings.Fields(allowed), path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
	for name, unwanted := range mayNotNeed {
		for _, path := range list("-deps", "./"+name) {
			for _, prefix := range unwanted {
				if path == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix) {
					t.Errorf("%s needs %s", name, path)
				}
			}
		}
	}
}
