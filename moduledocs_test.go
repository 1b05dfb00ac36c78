package djoser

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/settings"
)

// TestModulesAreDocumented reads the doc comments of all modules, which Caddy's site shows: of
// the type, of each member of its JSON with its default, and of UnmarshalCaddyfile with the
// syntax.
func TestModulesAreDocumented(t *testing.T) {
	s := readSource(t)
	s.words["djoser"] = slices.Concat(s.words["djoser"], s.words["settings"], strings.Split(settings.Names, ", "))
	delete(s.words, "settings") // lines of the directive djoser
	modules := 0
	for name := range s.methods {
		typeName, isModule := strings.CutSuffix(name, ".CaddyModule")
		if !isModule {
			continue
		}
		modules++
		s.checkType(t, typeName)
		if m := s.methods[typeName+".UnmarshalCaddyfile"]; m != nil && !strings.Contains(m.Doc.Text(), "\n\t") {
			t.Errorf("%s.UnmarshalCaddyfile: its comment has no syntax", typeName)
		}
	}
	for home, words := range s.words {
		for _, word := range words {
			if !hasWord(s.syntax[home], word) {
				t.Errorf("package %s: no comment of UnmarshalCaddyfile has %s", home, word)
			}
		}
	}
	if modules < 12 {
		t.Errorf("only %d modules were found", modules)
	}
}

// source has the declarations of this module's packages. Their names begin with that of the
// package.
type source struct {
	types    map[string]*ast.TypeSpec
	comments map[string]string // of types
	methods  map[string]*ast.FuncDecl
	syntax   map[string]string   // of a package, in the comments of UnmarshalCaddyfile
	words    map[string][]string // that a package's blocks have, for directive.Unknown
	checked  []string            // types
}

func readSource(t *testing.T) *source {
	t.Helper()
	s := &source{types: make(map[string]*ast.TypeSpec), comments: make(map[string]string), methods: make(map[string]*ast.FuncDecl), syntax: make(map[string]string), words: make(map[string][]string)}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{"bench", "examples", "conformance", "testsite", "testdata"}, entry.Name()) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil {
			s.add(file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *source) add(file *ast.File) {
	home := file.Name.Name
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && calledName(call.Fun) == "Unknown" && len(call.Args) > 3 {
			for _, word := range call.Args[3:] {
				if word, ok := word.(*ast.BasicLit); ok {
					s.words[home] = append(s.words[home], messageText(word))
				}
			}
		}
		return true
	})
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil {
				s.methods[home+"."+typeIdent(d.Recv.List[0].Type)+"."+d.Name.Name] = d
				if d.Name.Name == "UnmarshalCaddyfile" {
					s.syntax[home] += d.Doc.Text()
				}
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok {
					name := home + "." + spec.Name.Name
					s.types[name], s.comments[name] = spec, spec.Doc.Text()+d.Doc.Text()
				}
			}
		}
	}
}

// checkType checks the comments of a type and of the members that it has in JSON.
func (s *source) checkType(t *testing.T, name string) {
	t.Helper()
	spec := s.types[name]
	if spec == nil || slices.Contains(s.checked, name) {
		return
	}
	s.checked = append(s.checked, name)
	if !strings.HasPrefix(s.comments[name], spec.Name.Name+" ") {
		t.Errorf("%s: its comment doesn't begin with its name", name)
	}
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	home, _, _ := strings.Cut(name, ".")
	comment := ""
	for _, f := range structure.Fields.List {
		if f.Doc != nil {
			comment = f.Doc.Text()
		} else if len(f.Names) == 0 {
			comment = "embedded"
		}
		tag := ""
		if f.Tag != nil {
			text, _ := strconv.Unquote(f.Tag.Value)
			tag = reflect.StructTag(text).Get("json")
		}
		isMember := len(f.Names) == 0 || tag != "" && tag != "-"
		if !isMember {
			comment = ""
			continue
		}
		inner := typeIdent(f.Type)
		if !strings.Contains(inner, ".") {
			inner = home + "." + inner
		}
		_, isOurs := s.types[inner]
		needsDefault := !isOurs && strings.Contains(tag, ",omit")
		switch {
		case comment == "":
			t.Errorf("%s: %s has no comment", name, tag)
		case needsDefault && !strings.Contains(comment, "efault") && !strings.Contains(comment, "equired"):
			t.Errorf("%s: the comment of %s has no default: %s", name, tag, comment)
		}
		s.checkType(t, inner)
	}
}

// typeIdent returns the name of a type, or of the elements of a list, a map or a pointer.
func typeIdent(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeIdent(e.X)
	case *ast.ArrayType:
		return typeIdent(e.Elt)
	case *ast.MapType:
		return typeIdent(e.Value)
	case *ast.SelectorExpr:
		return typeIdent(e.X) + "." + e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// hasWord reports whether a line of a syntax begins with a word.
func hasWord(syntax, word string) bool {
	return regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(word) + `\b`).MatchString(syntax)
}
