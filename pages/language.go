package pages

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/internal/directive"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

//go:embed texts/*.json
var builtInTexts embed.FS

// texts is a file of texts: everything that pages say in one language.
type texts struct {
	// Direction of the writing, ltr or rtl.
	Direction string `json:"direction"`

	// Months are the names of the months in a date.
	Months []string `json:"months"`

	// Texts by name. {name} stands for a value.
	Texts map[string]phrase `json:"texts"`

	// Fields are the labels of fields by name. Others have that of the user model.
	Fields map[string]string `json:"fields"`

	// Messages are the messages of REST framework in this language. {n} stands for what
	// varies. Others are shown in English.
	Messages map[string]string `json:"messages"`
}

// phrase is a text, or its plural forms by CLDR's names (one, other, …).
type phrase map[plural.Form]string

var pluralForms = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many, "other": plural.Other,
}

// UnmarshalJSON reads a text, or an object of forms.
func (p *phrase) UnmarshalJSON(b []byte) error {
	*p = make(phrase)
	var text string
	if json.Unmarshal(b, &text) == nil {
		(*p)[plural.Other] = text
		return nil
	}
	var forms map[string]string
	if err := json.Unmarshal(b, &forms); err != nil {
		return errors.New("a text must be a string, or an object of plural forms")
	}
	for name, text := range forms {
		form, ok := pluralForms[name]
		if !ok {
			return fmt.Errorf("unknown plural form %s: use zero, one, two, few, many or other", name)
		}
		(*p)[form] = text
	}
	if _, ok := (*p)[plural.Other]; !ok {
		return errors.New("the plural form other is missing")
	}
	return nil
}

// lang is a language of the pages.
type lang struct {
	Tag       language.Tag
	Direction string
	texts     *texts
	messages  []message
}

// message translates a message of REST framework.
type message struct {
	pattern *regexp.Regexp
	text    string
}

// languages are the languages of a directive, the default one first.
type languages struct {
	all     []*lang
	matcher language.Matcher
}

// defaultLanguages are those that come with the module.
var defaultLanguages = []string{"en", "de"}

// loadLanguages reads the texts of languages. Files in dir add languages, and replace
// texts of the built-in ones.
func loadLanguages(names []string, dir string) (*languages, error) {
	if len(names) == 0 {
		names = defaultLanguages
	}
	english, err := readTexts("en", "")
	if err != nil {
		return nil, err
	}
	l := new(languages)
	var tags []language.Tag
	for i, name := range names {
		if err := directive.CheckLanguage(name); err != nil {
			return nil, err
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("languages: duplicate %s", name)
		}
		t, err := readTexts(name, dir)
		if err != nil {
			return nil, err
		}
		if err := t.check(english); err != nil {
			return nil, fmt.Errorf("languages: %s: %w", name, err)
		}
		one := &lang{Tag: language.MustParse(name), Direction: t.Direction, texts: t}
		one.messages = t.compileMessages()
		l.all = append(l.all, one)
		tags = append(tags, one.Tag)
	}
	l.matcher = language.NewMatcher(tags)
	return l, nil
}

// readTexts reads the texts of a language: the built-in ones, with those of the folder
// over them.
func readTexts(name, dir string) (*texts, error) {
	t := new(texts)
	file := "texts/" + name + ".json"
	b, err := builtInTexts.ReadFile(file)
	found := err == nil
	if found {
		if err := t.decode(b); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if dir != "" {
		file = filepath.Join(dir, name+".json")
		b, err := os.ReadFile(file)
		switch {
		case err == nil:
			if err := t.decode(b); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			return t, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("templates: %w", err)
		}
	}
	if !found {
		return nil, fmt.Errorf("languages: there are no texts in %s: use %s, or write %s.json into the folder of the line templates",
			name, strings.Join(defaultLanguages, " and "), name)
	}
	return t, nil
}

// decode reads a file over what is there already. Unknown members are errors.
func (t *texts) decode(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(t)
}

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// check returns an error unless the texts are whole: those of English, with the same
// placeholders.
func (t *texts) check(english *texts) error {
	switch {
	case t.Direction != "ltr" && t.Direction != "rtl":
		return errors.New("direction must be ltr or rtl")
	case len(t.Months) != 12:
		return errors.New("months must be the names of the twelve months")
	}
	for _, name := range slices.Sorted(maps.Keys(english.Texts)) {
		if _, ok := t.Texts[name]; !ok {
			return fmt.Errorf("the text %s is missing; in English it is %q", name, english.Texts[name][plural.Other])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Texts)) {
		original, ok := english.Texts[name]
		if !ok {
			continue // of an operator's template
		}
		allowed := placeholder.FindAllString(original[plural.Other], -1)
		for _, text := range t.Texts[name] {
			for _, p := range placeholder.FindAllString(text, -1) {
				if !slices.Contains(allowed, p) {
					return fmt.Errorf("the text %s has %s, which has no value; there are %v", name, p, allowed)
				}
			}
		}
	}
	return nil
}

// names returns the tags of the languages.
func (l *languages) names() (names []string) {
	for _, one := range l.all {
		names = append(names, one.Tag.String())
	}
	return names
}

// of returns the language that a client prefers. Source: RFC 9110, 12.5.4, and RFC 4647.
func (l *languages) of(r *http.Request) *lang {
	accept := r.Header.Get("Accept-Language")
	if len(accept) > maxAcceptLanguage {
		return l.all[0]
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return l.all[0]
	}
	_, i, _ := l.matcher.Match(tags...)
	return l.all[i]
}

// maxAcceptLanguage is the maximum length to parse in bytes. Browsers send less.
const maxAcceptLanguage = 500

// T returns a text. values are pairs of the name of a placeholder and its value. If one is
// a number, it chooses the plural form. A text that is missing is an error.
func (l *lang) T(name string, values ...any) (string, error) {
	p, ok := l.texts.Texts[name]
	if !ok {
		return "", fmt.Errorf("there is no text %s", name)
	}
	text := p[plural.Other]
	var pairs []string
	for i := 0; i+1 < len(values); i += 2 {
		value := fmt.Sprint(values[i+1])
		if n, ok := values[i+1].(int); ok {
			if form, ok := p[plural.Cardinal.MatchPlural(l.Tag, n, 0, 0, 0, 0)]; ok {
				text = form
			}
		} else {
			value = isolate(value)
		}
		pairs = append(pairs, fmt.Sprintf("{%v}", values[i]), value)
	}
	if len(pairs) == 0 {
		return text, nil
	}
	return strings.NewReplacer(pairs...).Replace(text), nil
}

// mustT is T for a text that check has found.
func (l *lang) mustT(name string, values ...any) string {
	text, err := l.T(name, values...)
	if err != nil {
		panic(err)
	}
	return text
}

// isolate keeps the direction of a value from changing the text around it, as <bdi> does.
func isolate(s string) string { return "\u2068" + s + "\u2069" }

// Label returns the label of a field.
func (l *lang) Label(name, label string) string {
	if text, ok := l.texts.Fields[name]; ok {
		return text
	}
	if label == "" {
		label = strings.ReplaceAll(name, "_", " ")
	}
	return strings.ToUpper(label[:1]) + label[1:]
}

// compileMessages returns the messages, those without placeholders first.
func (t *texts) compileMessages() (all []message) {
	for _, open := range []bool{false, true} {
		for _, from := range slices.Sorted(maps.Keys(t.Messages)) {
			if placeholder.MatchString(from) == open {
				all = append(all, newMessage(from, t.Messages[from]))
			}
		}
	}
	return all
}

// newMessage compiles a message with placeholders.
func newMessage(from, to string) message {
	pattern := regexp.QuoteMeta(from)
	for _, p := range placeholder.FindAllString(from, -1) {
		name := strings.Trim(p, "{}")
		pattern = strings.Replace(pattern, regexp.QuoteMeta(p), "(?P<"+name+">.{0,1000}?)", 1)
	}
	for _, p := range placeholder.FindAllString(to, -1) {
		to = strings.ReplaceAll(to, p, "${"+strings.Trim(p, "{}")+"}")
	}
	return message{regexp.MustCompile("(?s)^" + pattern + "$"), to}
}

// Message returns a message of REST framework in the language.
func (l *lang) Message(text string) string {
	for _, m := range l.messages {
		if at := m.pattern.FindStringSubmatchIndex(text); at != nil {
			return string(m.pattern.ExpandString(nil, m.text, text, at))
		}
	}
	return text
}

// Ago returns how long ago something was, in words: the time zone of the reader is
// unknown.
func (l *lang) Ago(t, now time.Time) (string, error) {
	const day = 24 * time.Hour
	switch age := now.Sub(t); {
	case age < time.Minute:
		return l.T("ago_now")
	case age < time.Hour:
		return l.T("ago_minutes", "n", int(age/time.Minute))
	case age < day:
		return l.T("ago_hours", "n", int(age/time.Hour))
	case age < 30*day:
		return l.T("ago_days", "n", int(age/day))
	}
	return l.Date(t)
}

// Date returns a day in UTC.
func (l *lang) Date(t time.Time) (string, error) {
	t = t.UTC()
	return l.T("date", "day", t.Day(), "month", l.texts.Months[t.Month()-1], "year", t.Year())
}

// Wait returns how long to wait, in words.
func (l *lang) Wait(d time.Duration) (string, error) {
	switch seconds := int((d + time.Second - 1) / time.Second); {
	case seconds < 100:
		return l.T("wait_seconds", "n", seconds)
	case seconds < 100*60:
		return l.T("wait_minutes", "n", (seconds+59)/60)
	default:
		return l.T("wait_hours", "n", (seconds+3599)/3600)
	}
}
