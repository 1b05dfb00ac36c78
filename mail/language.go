package mail

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/templates"
	xlanguage "golang.org/x/text/language"
)

// english is the language of the built-in templates that are in no folder.
const english = "en"

// language is a language of the mails.
type language struct {
	name      string // such as de or pt-BR
	templates map[model.Purpose]templateSet

	// builtIn are used for mails about several accounts, where an operator's
	// templates know only one.
	builtIn map[model.Purpose]templateSet
}

// loadLanguages reads the templates of all mails in all languages.
func (r *Renderer) loadLanguages() error {
	dir := r.config.Templates
	if dir != "" {
		if err := checkTemplateNames(dir); err != nil {
			return err
		}
	}
	var tags []xlanguage.Tag
	names := r.config.Languages
	if len(names) == 0 {
		names = []string{english}
	}
	for _, name := range names {
		if err := directive.CheckLanguage(name); err != nil {
			return err
		}
		if !HasLanguage(dir, name) {
			return fmt.Errorf("languages: there are no mails in %s: use en or de, or write them into the folder %s of the setting templates", name, name)
		}
		l, err := loadLanguage(dir, name)
		if err != nil {
			return err
		}
		r.languages, tags = append(r.languages, l), append(tags, xlanguage.MustParse(name))
	}
	r.matcher = xlanguage.NewMatcher(tags)
	return nil
}

// HasLanguage reports whether there are templates in a language: built-in ones, or a folder
// of that name in dir.
func HasLanguage(dir, name string) bool {
	if name == english {
		return true
	}
	if ownFolder(dir, name) != "" {
		return true
	}
	_, err := fs.Stat(templates.FS, name+"/"+templateNames[model.PurposeActivation]+textFile)
	return err == nil
}

// ownFolder returns the operator's folder of a language; none: "".
func ownFolder(dir, name string) string {
	if dir == "" {
		return ""
	}
	folder := filepath.Join(dir, name)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return ""
	}
	return folder
}

func loadLanguage(dir, name string) (*language, error) {
	if folder := ownFolder(dir, name); folder != "" {
		if err := checkTemplateNames(folder); err != nil {
			return nil, err
		}
	}
	l := &language{name: name, templates: make(map[model.Purpose]templateSet), builtIn: make(map[model.Purpose]templateSet)}
	for p, file := range templateNames {
		t, err := parseTemplates(dir, name, file)
		if err != nil {
			return nil, err
		}
		l.templates[p] = t
		if t.oneAccount {
			if l.builtIn[p], err = parseTemplates("", name, file); err != nil {
				return nil, err
			}
		}
	}
	return l, nil
}

// languageOf returns the language for who prefers one; empty: unknown. Source: RFC 4647.
func (r *Renderer) languageOf(preferred string) *language {
	tag, err := xlanguage.Parse(preferred)
	if err != nil {
		return r.languages[0]
	}
	_, n, _ := r.matcher.Match(tag)
	return r.languages[n]
}

// units are the words for a second, minute, hour and day, one and several, as they are needed
// after "in".
var units = map[string][4][2]string{
	english: {{"second", "seconds"}, {"minute", "minutes"}, {"hour", "hours"}, {"day", "days"}},
	"de":    {{"Sekunde", "Sekunden"}, {"Minute", "Minuten"}, {"Stunde", "Stunden"}, {"Tag", "Tagen"}},
}

// duration writes a duration as people do, such as 3 days. Languages that aren't built in have
// it in English.
func (l *language) duration(d time.Duration) string {
	const day = 24 * time.Hour
	n, unit := int64(d/time.Second), 0
	switch {
	case d >= day && d%day < time.Hour:
		n, unit = int64(d/day), 3
	case d >= time.Hour && d%time.Hour < time.Minute:
		n, unit = int64(d/time.Hour), 2
	case d >= time.Minute:
		n, unit = int64(d/time.Minute), 1
	}
	words, ok := units[l.name]
	if !ok {
		words = units[english]
	}
	word := words[unit][1]
	if n == 1 {
		word = words[unit][0]
	}
	return fmt.Sprintf("%d %s", n, word)
}
