package pages

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
)

// load returns languages whose files are in a folder.
func load(t *testing.T, names []string, files map[string]string) (*languages, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return loadLanguages(names, dir)
}

func langNamed(t *testing.T, name string) *lang {
	t.Helper()
	l, err := load(t, []string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l.all[0]
}

func TestTheLanguageIsTheOneThatTheClientPrefers(t *testing.T) {
	l, err := load(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]string{
		"":                         "en",
		"de":                       "de",
		"de-AT,de;q=0.9,en;q=0.8":  "de",
		"fr,de;q=0.5":              "de",
		"fr":                       "en",
		"en-GB, de;q=0.9":          "en",
		"de;q=0.1, en;q=0.2":       "en",
		"*":                        "en",
		"no language!":             "en",
		strings.Repeat("de,", 200): "en",
	} {
		r := &http.Request{Header: http.Header{"Accept-Language": {accept}}}
		if got := l.of(r).Tag.String(); got != want {
			t.Errorf("%.30q: %s, want %s", accept, got, want)
		}
	}
}

func TestNumbersChooseThePluralForm(t *testing.T) {
	en, de := langNamed(t, "en"), langNamed(t, "de")
	now := time.Date(2026, 5, 17, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		age    time.Duration
		en, de string
	}{
		{-time.Hour, "just now", "gerade eben"},
		{time.Minute, "1 minute ago", "vor 1 Minute"},
		{2 * time.Hour, "2 hours ago", "vor 2 Stunden"},
		{25 * time.Hour, "1 day ago", "vor 1 Tag"},
		{60 * 24 * time.Hour, "18 \u2068March\u2069 2026", "18. \u2068März\u2069 2026"},
	} {
		inEnglish, err := en.Ago(now.Add(-c.age), now)
		if err != nil || inEnglish != c.en {
			t.Errorf("%s: %q, %v", c.age, inEnglish, err)
		}
		if inGerman, _ := de.Ago(now.Add(-c.age), now); inGerman != c.de {
			t.Errorf("%s: %q", c.age, inGerman)
		}
	}
	if text, err := en.Wait(61 * time.Second); err != nil || text != "61 seconds" {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := de.Wait(2 * time.Hour); err != nil || text != "2 Stunden" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAnArabicFileNeedsNoCode(t *testing.T) {
	english, err := builtInTexts.ReadFile("texts/en.json")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`"ltr"`, `"rtl"`, `"one": "{n} hour ago", "other"`, `"two": "two", "few": "few", "many": "many", "other"`).Replace(string(english))
	l, err := load(t, []string{"ar"}, map[string]string{"ar.json": text})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{2: "two", 3: "few", 11: "many", 100: "100 hours ago"} {
		if got, err := l.all[0].T("ago_hours", "n", n); got != want || err != nil {
			t.Errorf("%d: %q, %v", n, got, err)
		}
	}
	if l.all[0].Direction != "rtl" {
		t.Error("not from right to left")
	}
}

func TestTextsAreWhole(t *testing.T) {
	for name, c := range map[string]struct {
		languages []string
		files     map[string]string
		want      string
	}{
		"own text":     {nil, map[string]string{"en.json": `{"texts": {"login_title": "Come in"}}`}, ""},
		"more text":    {nil, map[string]string{"en.json": `{"texts": {"footer": "Bye"}}`}, ""},
		"no texts":     {[]string{"fr"}, nil, "there are no texts in fr: use en and de, or write fr.json"},
		"few texts":    {[]string{"fr"}, map[string]string{"fr.json": `{"direction": "ltr", "months": ["1","2","3","4","5","6","7","8","9","10","11","12"]}`}, `is missing; in English it is "`},
		"direction":    {[]string{"fr"}, map[string]string{"fr.json": `{}`}, "direction must be ltr or rtl"},
		"months":       {nil, map[string]string{"en.json": `{"months": ["January"]}`}, "twelve months"},
		"placeholder":  {nil, map[string]string{"de.json": `{"texts": {"throttled": "Warte {zeit}"}}`}, "the text throttled has {zeit}, which has no value"},
		"unknown":      {nil, map[string]string{"de.json": `{"text": {}}`}, `unknown field "text"`},
		"form":         {nil, map[string]string{"de.json": `{"texts": {"ago_days": {"ein": "x", "other": "y"}}}`}, "unknown plural form ein"},
		"no other":     {nil, map[string]string{"de.json": `{"texts": {"ago_days": {"one": "x"}}}`}, "the plural form other is missing"},
		"twice":        {[]string{"en", "en"}, nil, "duplicate en"},
		"no language":  {[]string{"../en"}, nil, "is no language"},
		"odd spelling": {[]string{"EN"}, nil, "is no language"},
	} {
		_, err := load(t, c.languages, c.files)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestMessagesKeepTheirValues(t *testing.T) {
	de := langNamed(t, "de")
	for message, want := range map[string]string{
		fieldtype.MsgTooLong(3, 5): "Höchstens 3 Zeichen sind möglich, hier sind es 5.",
		"This password is too short. It must contain at least 9 characters.": "Das Passwort ist zu kurz. Es muss mindestens 9 Zeichen haben.",
		"The password is too similar to the nick $1 {n}.":                    "Das Passwort ist der Angabe „nick $1 {n}“ zu ähnlich.",
		"Something new.": "Something new.",
	} {
		if got := de.Message(message); got != want {
			t.Errorf("%q: %q", message, got)
		}
	}
}

// TestTheSourceHasNoMessageWithoutATranslation finds the messages in the source, so that a
// new one isn't forgotten.
func TestTheSourceHasNoMessageWithoutATranslation(t *testing.T) {
	de := langNamed(t, "de")
	verb := regexp.MustCompile(`%[a-zA-Z]`)
	literal := regexp.MustCompile(`"((?:This|Enter|Ensure|Select|Invalid|Unable|User|The two|You have|Null|Surrogate|Date)[^"]*[.\]])[^"]*"`)
	files, err := filepath.Glob("../account/*.go")
	more, _ := filepath.Glob("../serializers/*.go")
	if files = slices.Concat(files, more, []string{"../password/validators.go", "../drf/fields.go"}); err != nil || len(files) < 10 {
		t.Fatal(err, files)
	}
	found := make(map[string]bool)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			found[verb.ReplaceAllString(strings.Replace(m[1], "%d %s", "7 characters", 1), "7")] = true
		}
	}
	if len(found) < 15 {
		t.Fatalf("only %d messages found", len(found))
	}
	for _, m := range slices.Sorted(maps.Keys(found)) {
		if de.Message(m) == m {
			t.Errorf("no translation of %q", m)
		}
	}
}
