package djoser

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestTroubleshootingHasEveryMessage holds docs/troubleshooting.md against the source. Each
// message that an operator can meet matches a pattern in the first column of one of the
// page's tables, and each pattern matches a message.
//
// Patterns are code spans, and … in them is any text. A message that is in none needs an
// entry with what to do about it, or one of the lists below if no operator sees it.
func TestTroubleshootingHasEveryMessage(t *testing.T) {
	text, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	ours, _, found := strings.Cut(string(text), "\n## Messages of others\n")
	if !found {
		t.Fatal("the page has no section for the messages of others")
	}
	patterns := messagePatterns(ours)
	used := make(map[string]bool)
	messages := operatorMessages(t)
	for _, text := range slices.Sorted(maps.Keys(messages)) {
		known := false
		for name, pattern := range patterns {
			if pattern.MatchString(text) {
				used[name], known = true, true
			}
		}
		if !known && !isPrefix.MatchString(text) {
			t.Errorf("%s: no pattern of docs/troubleshooting.md matches: %s", messages[text], text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(patterns)) {
		if !used[name] {
			t.Errorf("docs/troubleshooting.md: no message matches `%s`", name)
		}
	}
	if len(messages) < 300 {
		t.Errorf("only %d messages were found", len(messages))
	}
}

// isPrefix matches messages that say only where another one, at their end, comes from.
var isPrefix = regexp.MustCompile(`^[^:]*(: …)+$`)

var codeSpan = regexp.MustCompile("`([^`]+)`")

// messagePatterns returns the patterns of the tables of a page.
func messagePatterns(page string) map[string]*regexp.Regexp {
	patterns := make(map[string]*regexp.Regexp)
	for line := range strings.Lines(page) {
		row, isRow := strings.CutPrefix(line, "| `")
		if !isRow {
			continue
		}
		cell, _, _ := strings.Cut("`"+row, " | ")
		for _, m := range codeSpan.FindAllStringSubmatch(cell, -1) {
			patterns[m[1]] = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(m[1]), "…", ".*") + "$")
		}
	}
	return patterns
}

// silentFiles are packages and files whose texts no operator sees.
var silentFiles = []string{
	"drf/", "serializers/", "internal/fieldtype/", // answers of endpoints, in docs/endpoints.md
	"account/identity.go", "account/passkey.go", "account/proof.go", "account/service.go", "account/session.go", // refusals, which the endpoints say in their own words
	"bench/", "conformance/", "examples/", "internal/browser/", "internal/history/", "internal/testsite/", "storetest/",
}

// silentMessages are errors of other packages by which the code tells cases apart.
var silentMessages = []string{
	"a later change", "a second factor is needed", "an array of objects that name their model is", "an entry is not needed", "another transaction was faster", "changes are missing", "invalid JWT",
	"asked too often", "not found", "realm … is not defined", "the change was committed", "the id of the credential is too long",
	"the token of the request has ended", "the tree is closed", "unknown format of password hash", "wrong code", "… is taken",
	"…: registration is closed", "…: there is no such invitation",
}

// within has packages and files whose texts are always shown within another one.
var within = [][2]string{
	{"django/setting", "note: …"},
	{"django/read.go", ""},
	{"django/", "row … (…): …: …"},
	{"doctor/", "warning …"},
	{"stores/badger/check/", "fault: …"},
	{"stores/postgres/check.go", "fault: …"},
	{"stores/records/compare.go", "fault: …"},
	{"stores/badger/repair/settle.go", "fault: …"},
	{"stores/badger/journal/", "store … is damaged: …"},
	{"stores/badger/sst/", "store … is damaged: …"},
}

// messageCalls are functions and methods, besides those with a parameter named format, whose
// literals are messages.
var messageCalls = []string{
	"New", "Errorf", "Err", "Errf", // errors, go's and the Caddyfile's
	"Warn", "Error", // of zap
	"ErrMail", "NotFound", "damage", "damaged", "exitError", "fail", "faultError", "manifestDamage", "noteFailure", "own", "refuse",
	"report", "showReport",
}

// operatorMessages returns the messages of the source with their places. Verbs are
// replaced by ….
func operatorMessages(t *testing.T) map[string]string {
	t.Helper()
	for _, path := range slices.Concat(silentFiles, firsts(within)) {
		if found, _ := filepath.Glob(path + "*"); len(found) == 0 {
			t.Errorf("there is no %s", path)
		}
	}
	files := token.NewFileSet()
	var parsed []*ast.File
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		isSilent := slices.ContainsFunc(silentFiles, func(prefix string) bool { return strings.HasPrefix(filepath.ToSlash(path), prefix) })
		if isSilent || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		parsed = append(parsed, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	calls := slices.Clone(messageCalls)
	for _, file := range parsed {
		calls = append(calls, formattingFunctions(file)...)
	}
	messages := make(map[string]string)
	for _, file := range parsed {
		ast.Inspect(file, func(n ast.Node) bool {
			for _, e := range messageArguments(n, calls) {
				place := files.Position(e.Pos())
				if text := messageText(e); strings.Contains(text, " ") && !slices.Contains(silentMessages, text) {
					messages[shownAs(text, filepath.ToSlash(place.Filename))] = place.Filename + ":" + strconv.Itoa(place.Line)
				}
			}
			return true
		})
	}
	return messages
}

func firsts(pairs [][2]string) (list []string) {
	for _, p := range pairs {
		list = append(list, p[0])
	}
	return list
}

// shownAs returns a message as it is shown.
func shownAs(text, file string) string {
	for _, w := range within {
		if strings.HasPrefix(file, w[0]) {
			return cmp.Or(w[1], text)
		}
	}
	return text
}

// formattingFunctions returns the names of a file's functions that have a parameter named
// format.
func formattingFunctions(file *ast.File) (names []string) {
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		for _, field := range f.Type.Params.List {
			if slices.ContainsFunc(field.Names, func(id *ast.Ident) bool { return id.Name == "format" }) {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// messageArguments returns the arguments of a call, the values of a composite literal, or
// what a method Error returns, if it may be messages.
func messageArguments(n ast.Node, calls []string) []ast.Expr {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Name.Name == "Error" && n.Recv != nil {
			if last, ok := n.Body.List[len(n.Body.List)-1].(*ast.ReturnStmt); ok {
				return last.Results
			}
		}
	case *ast.CallExpr:
		if slices.Contains(calls, calledName(n.Fun)) {
			return n.Args
		}
	case *ast.CompositeLit:
		if slices.Contains(calls, calledName(n.Type)) {
			return n.Elts
		}
	}
	return nil
}

func calledName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

var verb = regexp.MustCompile(`%[-+#0-9.*\[\]]*[a-zA-Z]`)

// messageText returns the text of a literal, of a sum of literals, or of a call of
// fmt.Sprintf. What only a run knows is ….
func messageText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err != nil {
			return ""
		}
		return strings.ReplaceAll(verb.ReplaceAllString(strings.ReplaceAll(text, "\n", " "), "…"), "%%", "%")
	case *ast.BinaryExpr:
		return messageText(e.X) + messageText(e.Y)
	case *ast.CallExpr:
		if calledName(e.Fun) == "Sprintf" {
			return messageText(e.Args[0])
		}
	}
	return "…"
}
