package model

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
)

func TestTypesParseText(t *testing.T) {
	const (
		notWhole = "Enter a whole number."
		notURL   = "Enter a valid URL."
		notDate  = "Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]"
		tooLong  = "Ensure this value has at most 20 characters (it has 21)."
	)
	long := strings.Repeat("ü", 21)
	for _, c := range []struct {
		typ, text string
		value     any
		message   string
	}{
		{"char", " a ", " a ", ""},
		{"char", "", "", ""},
		{"char", long[2:], long[2:], ""},
		{"char", long, nil, tooLong},
		{"char", "a\x00", nil, "Null characters are not allowed."},
		{"char", "a\xED\xA0\x80", nil, "Surrogate characters are not allowed: U+D800."},
		{"text", "a\nb", "a\nb", ""},
		{"text", long, nil, tooLong},
		{"text", "\x00", nil, "Null characters are not allowed."},
		{"email", " A@B.Example ", "A@b.example", ""},
		{"email", "  ", "", ""},
		{"email", "a", nil, fieldtype.MsgInvalidEmail},
		{"email", "a\x00@b.example", nil, fieldtype.MsgInvalidEmail},
		{"email", "aaaaaaaaa@bbb.example", nil, tooLong},
		{"email", "aaaaaaaa@b@bb.example", nil, fieldtype.MsgInvalidEmail + " " + tooLong},
		{"url", "https://a.example", "https://a.example", ""},
		{"url", "", "", ""},
		{"url", "javascript:x", nil, notURL},
		{"url", "http://a.example/\x00", nil, notURL},
		{"url", "https://aaaaa.example", nil, tooLong},
		{"integer", " -7 ", int64(-7), ""},
		{"integer", "007", int64(7), ""},
		{"integer", "", nil, notWhole},
		{"integer", "1.0", nil, notWhole},
		{"integer", "9223372036854775808", nil, "Ensure this value is less than or equal to 9223372036854775807."},
		{"integer", "-9223372036854775809", nil, "Ensure this value is greater than or equal to -9223372036854775808."},
		{"integer", long, nil, tooLong},
		{"boolean", "on", true, ""},
		{"boolean", "", false, ""},
		{"boolean", "yes", nil, "'yes' value must be either True or False."},
		{"boolean", long, nil, tooLong},
		{"date", "2024-2-9", "2024-02-09", ""},
		{"date", "2023-02-29", nil, notDate},
		{"date", "0000-01-01", nil, notDate},
		{"date", long, nil, tooLong},
	} {
		f := Field{Type: fieldtype.Named(c.typ), MaxLength: 20}
		value, messages := f.Parse(c.text)
		if got := strings.Join(messages, " "); value != c.value || got != c.message {
			t.Errorf("%s: %q is %#v, %q, want %#v, %q", c.typ, c.text, value, got, c.value, c.message)
		}
	}
}

// A field may have had another type when a value was stored.
func TestStoredValuesFitTheType(t *testing.T) {
	stored := []any{nil, "", "7", "True", "2024-02-09", int64(7), true}
	for name, want := range map[string][]any{
		"char":    {"", "", "7", "True", "2024-02-09", "7", "True"},
		"text":    {"", "", "7", "True", "2024-02-09", "7", "True"},
		"email":   {"", "", "7", "True", "2024-02-09", "", ""},
		"url":     {"", "", "7", "True", "2024-02-09", "", ""},
		"integer": {nil, nil, int64(7), nil, nil, int64(7), nil},
		"boolean": {false, false, false, true, false, false, true},
		"date":    {nil, nil, nil, nil, "2024-02-09", nil, nil},
	} {
		f := Field{Type: fieldtype.Named(name)}
		for i, v := range stored {
			if got := f.fit(v); got != want[i] {
				t.Errorf("%s: %#v is %#v, want %#v", name, v, got, want[i])
			}
		}
	}
}

// A login reads any text as a name, and a new username gets Django's message.
func TestTextThatCannotBeStoredIsAnInvalidUsername(t *testing.T) {
	model, err := (*UserModel)(nil).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a\x00", "a\xED\xA0\x80"} {
		if value, messages := model.Username.Parse(name); value != name || messages != nil {
			t.Errorf("%q is %#v, %q", name, value, messages)
		}
		wrong := new(FieldError)
		if _, err := model.CheckUsername(name); !errors.As(err, &wrong) || wrong.Messages[0] != fieldtype.MsgInvalidUsername {
			t.Errorf("%q as a new username: %v", name, err)
		}
	}
}
