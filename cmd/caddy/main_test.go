package main

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// TestWhatThisBuildLacksIsNamed adapts a Caddyfile that needs another build.
func TestWhatThisBuildLacksIsNamed(t *testing.T) {
	const site = "http://127.0.0.1 {\n\tdjoser /auth/* {\n\t\tdomain example.com\n\t\tdisable password_reset\n\t\tpasskeys\n\t}\n}\n"
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(site), map[string]any{"filename": "Caddyfile"})
	if err == nil || !strings.Contains(err.Error(), "--with github.com/caddy-djoser/djoser/passkeys") || !strings.Contains(err.Error(), "Caddyfile:5") {
		t.Errorf("%v", err)
	}
}
