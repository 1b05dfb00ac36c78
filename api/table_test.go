package api

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestEndpointsPageHasTheTable holds the first table of docs/endpoints.md against the table
// of endpoints: what each method does at its path in each layout, and what it needs.
func TestEndpointsPageHasTheTable(t *testing.T) {
	text, err := os.ReadFile("../docs/endpoints.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	_, table, _ := strings.Cut(page, "\n|---|---|---|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	for i, e := range endpoints {
		// The name is a link to where the endpoint is described.
		name := "| [" + e.Name + "]("
		if want := e.row(); i >= len(rows) || !strings.HasPrefix(rows[i], name) || !strings.HasSuffix(rows[i], want) {
			t.Errorf("row %d of the table must be %s…)%s", i+1, name, want)
		}
	}
	if len(rows) != len(endpoints) {
		t.Errorf("the table has %d rows, want %d", len(rows), len(endpoints))
	}
}

// row is what the page's table has of an endpoint after its name.
func (e *endpoint) row() string {
	classic, v2 := e.request(Classic), e.request(V2)
	if classic == v2 {
		v2 = "the same"
	} else if v2 != "" {
		v2 = strings.TrimSuffix(v2, "`") + "/`" // djoser 2's paths have a last slash
	}
	token := "yes"
	if new(API).class(e.permission) == AllowAny && !e.own {
		token = "no"
	}
	permission := ""
	if _, ok := defaultPermissions[e.permission]; ok {
		permission = "`" + e.permission + "`"
	}
	row := fmt.Sprintf(" | %s | %s | %s | %s | %s |", classic, v2, e.title, token, permission)
	return strings.ReplaceAll(row, "|  |", "| |")
}

// request is the method and the path of an endpoint in a layout, or empty.
func (e *endpoint) request(l Layout) string {
	if e.paths[l] == "" {
		return ""
	}
	methods := strings.TrimSuffix(strings.Join(e.methods, " "), " HEAD") // which comes with GET
	return "`" + methods + " /" + e.paths[l] + "`"
}
