package examples

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Dir = "monitoring"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

func needPromtool(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed: it comes with Prometheus")
	}
}

func TestAlertsFire(t *testing.T) {
	needPromtool(t)
	promtool(t, "check", "rules", "rules.yml")
	promtool(t, "test", "rules", "rules_test.yml")
}

// Prometheus takes every query of the dashboard, as that of a rule.
func TestTheDashboardAsksWhatPrometheusUnderstands(t *testing.T) {
	needPromtool(t)
	text, err := os.ReadFile("monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	grafana := strings.NewReplacer("$__rate_interval", "5m", "$realm", ".*")
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			rules = append(rules, rule{"panel", grafana.Replace(target.Expr)})
		}
	}
	if len(rules) < len(dashboard.Panels) {
		t.Fatal("a panel asks nothing")
	}
	file := filepath.Join(t.TempDir(), "rules.yml") // JSON is YAML
	asFile, _ := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err := os.WriteFile(file, asFile, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", file)
}

// grafanaTypes gives the dashboard the type that Grafana generates from its own schema.
const grafanaTypes = `import type { Dashboard } from "./node_modules/@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen";
type Plain<T> = T extends string ? ` + "`${T}`" + ` : T extends number ? number : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
export const dashboard: Plain<Dashboard> = `

func TestTheDashboardIsOfGrafanasSchema(t *testing.T) {
	const variable = "DJOSER_TEST_NPM"
	modules := filepath.Join(os.Getenv(variable), "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "@grafana", "schema")); err != nil || os.Getenv(variable) == "" {
		t.Skip("Grafana's schema isn't there: npm install --prefix DIR typescript @grafana/schema, and set " + variable + " to DIR")
	}
	text, err := os.ReadFile("monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) ([]byte, error) {
		dir := t.TempDir()
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "dashboard.ts"), []byte(grafanaTypes+text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("node", filepath.Join(modules, "typescript", "bin", "tsc"), "--noEmit", "--strict", "--skipLibCheck",
			"--moduleResolution", "bundler", "--module", "esnext", "--target", "es2022", "dashboard.ts")
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	if out, err := check(string(text)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := check(strings.Replace(string(text), `"refresh"`, `"refrsh"`, 1)); err == nil || !strings.Contains(string(out), "refrsh") {
		t.Errorf("a wrong name isn't noticed: %v\n%s", err, out)
	}
}
