package djoser

import "strings"

// fieldType is a type of fields of a user model. To add one, write it and put
// it into fieldTypes.
type fieldType interface {
	traits() fieldTraits

	// parse turns text from a request into a value. The value may have as many
	// characters as limit says; zero: any number. The messages are those of
	// REST framework.
	parse(text string, limit int) (value any, messages []string)

	// holds tells whether a stored value, which isn't nil, is one of the type.
	holds(v any) bool
}

// nameRules are what a type adds that the username field may have.
type nameRules interface {
	// normalize gives what people log in with the form in which it is stored.
	normalize(name string) string

	// checkName tells whether a normalized name is one.
	checkName(name string) bool

	// nameHelp is Django's help text for the username field.
	nameHelp(maxLength int) string
}

// fieldTraits are what the rest of djoser has to know of a type.
type fieldTraits struct {
	name    string // in the settings
	apiName string // REST framework's, in the answer to OPTIONS

	zero     any  // what templates show where there is no value
	nullable bool // no value is null, not zero
	checkbox bool // a form sends nothing for false
	address  bool // it holds addresses of mail, of which one can be written in several ways
	personal bool // it may say who somebody is: a password must not be like it

	hasLength bool // it takes max_length
	maxLength int  // without one; zero: it must be given
	longest   int  // limit of parse for a field without max_length
	canUnique bool // it takes unique
}

// fieldTypes are the types that a field can have.
var fieldTypes = []fieldType{
	charType{}, textType{}, emailType{}, urlType{}, integerType{}, booleanType{}, dateType{},
}

// fieldTypeNamed is the type that has the name in the settings, or nil.
func fieldTypeNamed(name string) fieldType {
	for _, t := range fieldTypes {
		if t.traits().name == name {
			return t
		}
	}
	return nil
}

// typeNames lists types for a message.
func typeNames(isListed func(fieldType) bool) string {
	var names []string
	for _, t := range fieldTypes {
		if isListed(t) {
			names = append(names, t.traits().name)
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func isAnyType(fieldType) bool { return true }

func isNameType(t fieldType) bool {
	_, ok := t.(nameRules)
	return ok
}

// What a value is looked at of, in characters, where its field has no
// max_length.
const (
	maxText = 65_536 // of text, or an integer
	maxWord = 1000   // of a boolean or a date
)

// checkLength refuses text that is longer than the limit.
func checkLength(text string, limit int) []string {
	if n := characters(text); limit > 0 && n > limit {
		return []string{msgTooLong(limit, n)}
	}
	return nil
}
