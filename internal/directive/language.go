package directive

import (
	"fmt"

	"golang.org/x/text/language"
)

// CheckLanguage returns an error if a name isn't the tag of a language.
func CheckLanguage(name string) error {
	if tag, err := language.Parse(name); err != nil || tag.String() != name {
		return fmt.Errorf("languages: '%s' is no language: use tags such as en, de or pt-BR", name)
	}
	return nil
}
