package djoser

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/caddy-djoser/djoser/django"
)

func TestADumpInAnotherFormatIsReadOrExplained(t *testing.T) {
	wide := func(order func(byte, byte) []byte, text string) string {
		var b bytes.Buffer
		for _, c := range utf16.Encode([]rune(text)) {
			b.Write(order(byte(c), byte(c>>8)))
		}
		return b.String()
	}
	little := func(low, high byte) []byte { return []byte{low, high} }
	big := func(low, high byte) []byte { return []byte{high, low} }
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	row := userRow(5, "zoë", "")
	z.Write([]byte(dumpOf(row)))
	z.Close()
	const right = "manage.py dumpdata"
	for name, dump := range map[string]struct {
		text string
		want []string // nil: it is accepted
	}{
		"with a byte order mark":      {"\ufeff" + dumpOf(row), nil},
		"in lines":                    {row + "\n" + tokenRow(1, "5") + "\n", nil},
		"in lines of Windows":         {"\ufeff" + row + "\r\n\r\n" + tokenRow(1, "5"), nil},
		"of PowerShell":               {wide(little, "\ufeff"+dumpOf(row)), []string{"UTF-16", right}},
		"in UTF-16, the other way":    {wide(big, "\ufeff"+dumpOf(row)), []string{"UTF-16", right}},
		"in UTF-16 without a mark":    {wide(little, dumpOf(row)), []string{"UTF-16", right}},
		"in UTF-16 without, big":      {wide(big, dumpOf(row)), []string{"UTF-16", right}},
		"in Latin-1":                  {strings.ReplaceAll(dumpOf(row), "ë", "\xeb"), []string{"row 1", "username is not UTF-8", right}},
		"packed":                      {packed.String(), []string{"gunzip"}},
		"bzip2":                       {"BZh91AY", []string{"bunzip2"}},
		"xz":                          {"\xfd7zXZ\x00\x00", []string{"unxz"}},
		"zip":                         {"PK\x03\x04...", []string{"unzip"}},
		"XML":                         {"<?xml version=\"1.0\"?>", []string{"XML", right}},
		"YAML":                        {"- model: auth.user\n", []string{"YAML", right}},
		"after a line":                {"Loading settings of prod\n" + dumpOf(row), []string{`"Loading settings of prod"`, right}},
		"after a line in brackets":    {"[INFO] ready\n" + dumpOf(row), []string{`"[INFO] ready"`, right}},
		"after a number":              {"12 rows\n" + dumpOf(row), []string{`"12 rows"`, right}},
		"after steering the terminal": {"\x1b[2Jgone \u202e\n" + dumpOf(row), []string{`"\x1b[2Jgone \u202e"`}},
		"after a line in a mark":      {"\ufeffhello\n" + dumpOf(row), []string{`"hello"`}},
		"before a line":               {dumpOf(row) + "\ndone", []string{"after the rows"}},
		"of something else":           {`{"users": []}`, []string{"as dumpdata writes it"}},
		"of texts":                    {`"x"`, []string{"as dumpdata writes it"}},
		"broken off":                  {`{"model": "auth.user", "pk": 3, "fields": {`, []string{"row 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := install(t, required)
			file := filepath.Join(in.Dir, "dump.json")
			if err := os.WriteFile(file, []byte(dump.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if dump.want != nil {
				in.djoser("", "import", file).Want(t, 1, quoted(dump.want)...)
				return
			}
			in.ok("import", file)
			if out := in.ok("user", "list"); !strings.Contains(out, "5   zoë") {
				t.Error(out)
			}
			if err := django.ReadRows(strings.NewReader(dump.text), func(*django.Row) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
}

// quoted escapes texts like the JSON of an error on standard error.
func quoted(texts []string) []string {
	var all []string
	for _, text := range texts {
		text = strings.ReplaceAll(text, `\`, `\\`)
		all = append(all, strings.ReplaceAll(text, `"`, `\"`))
	}
	return all
}

func TestRowsOfLinesHaveTheirNumbers(t *testing.T) {
	in := install(t, required)
	file := filepath.Join(in.Dir, "dump.jsonl")
	os.WriteFile(file, []byte(userRow(1, "ann", "")+"\n"+userRow(2, "", "")+"\n"), 0o600)
	in.djoser("", "import", file, "--dry-run").Want(t, 4, "row 2 (auth.user 2)")
}

// dumpdata --natural-primary --natural-foreign of a user model with UUIDs has no keys, and
// references by name.
func TestUsersWithUUIDsAreImportedByName(t *testing.T) {
	in := install(t, required)
	user := func(name string) string {
		return userRow(nil, name, `, "id": "0a6f1cf0-6dc1-4b5c-8d24-2a1f5fd0b1aa", "groups": [["editors"]]`)
	}
	dump := dumpOf(`{"model": "auth.group", "fields": {"name": "editors", "permissions": []}}`,
		user("ann"), user("ben"), tokenRow(1, `["ann"]`), tokenRow(2, `["ben"]`))
	file := filepath.Join(in.Dir, "dump.json")
	os.WriteFile(file, []byte(dump), 0o600)
	if out := in.ok("import", file, "--dry-run"); !strings.Contains(out, "groups     1    1        0") || !strings.Contains(out, "Nothing was changed") {
		t.Error(out)
	}
	in.ok("import", file)
	if out := in.ok("import", file); !strings.Contains(out, "users     2    0        2") || !strings.Contains(out, "groups     1    0        1") || !strings.HasSuffix(out, "Imported.\n") || !strings.Contains(out, "tokens     2    0        2") {
		t.Error(out)
	}
	in.Start()
	in.Get("/api/x", madeUpToken(1)).Want(t, 200, "hello ann editors")
	in.Get("/api/x", madeUpToken(2)).Want(t, 200, "hello ben editors")

	os.WriteFile(file, []byte(dumpOf(userRow(`"0a6f1cf0-6dc1-4b5c-8d24-2a1f5fd0b1aa"`, "eve", ""))), 0o600)
	in.djoser("", "import", file, "--dry-run").Want(t, 4, "--natural-primary --natural-foreign")
}
