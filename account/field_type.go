package account

import "strings"

// fieldType is a type of fields of a user model. To add one, write it and put
// it into fieldTypes.
type fieldType interface {
	Traits() fieldTraits

	// Parse turns text from a request into a value. The value may have as many
	// characters as limit says; zero: any number. The messages are those of
	// REST framework.
	Parse(text string, limit int) (value any, messages []string)

	// Holds tells whether a stored value, which isn't nil, is one of the type.
	Holds(v any) bool
}

// nameRules are what a type adds that the username field may have.
type nameRules interface {
	// Normalize gives what people log in with the form in which it is stored.
	Normalize(name string) string

	// CheckName tells whether a normalized name is one.
	CheckName(name string) bool

	// nameHelp is Django's help text for the username field.
	nameHelp(maxLength int) string
}

// fieldTraits are what the rest of djoser has to know of a type.
type fieldTraits struct {
	name    string // in the settings
	ApiName string // REST framework's, in the answer to OPTIONS

	Zero     any  // what templates show where there is no value
	Nullable bool // no value is null, not zero
	Checkbox bool // a form sends nothing for false
	address  bool // it holds addresses of mail, of which one can be written in several ways
	personal bool // it may say who somebody is: a password must not be like it

	hasLength bool // it takes max_length
	maxLength int  // without one; zero: it must be given
	longest   int  // limit of parse for a field without max_length
	canUnique bool // it takes unique
}

// fieldTypes are the types that a field can have.
var fieldTypes = []fieldType{
	charType{}, textType{}, EmailType{}, urlType{}, integerType{}, booleanType{}, dateType{},
}

// fieldTypeNamed is the type that has the name in the settings, or nil.
func fieldTypeNamed(name string) fieldType {
	for _, t := range fieldTypes {
		if t.Traits().name == name {
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
			names = append(names, t.Traits().name)
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
	if n := Characters(text); limit > 0 && n > limit {
		return []string{MsgTooLong(limit, n)}
	}
	return nil
}
