package password

import (
	"slices"
	"testing"
)

func TestValidatorsSpeakAsDjangosDo(t *testing.T) {
	all := Validators{MinLength: 8, Common: true, Numeric: true, Similar: true}
	attributes := []Attribute{{"username", "jane.doe"}, {"email address", "wonder@example.com"}, {"first name", ""}}
	for _, test := range []struct {
		password string
		want     []string
	}{
		{"correct horse battery staple", nil},
		{"hj4G-k3.", nil},
		{"", []string{"This password is too short. It must contain at least 8 characters."}},
		{"djoser", []string{"This password is too short. It must contain at least 8 characters."}},
		{"zółwżółw", nil},
		{"jane.doe1", []string{"The password is too similar to the username."}},
		{"JANEDOE!!", []string{"The password is too similar to the username."}},
		{"wonder@example", []string{"The password is too similar to the email address."}},
		{"Password1", []string{"This password is too common."}},
		{" qwertyuiop ", []string{"This password is too common."}},
		{"84729057382910", []string{"This password is entirely numeric."}},
		{"1234", []string{
			"This password is too short. It must contain at least 8 characters.",
			"This password is too common.",
			"This password is entirely numeric.",
		}},
	} {
		if got := all.Validate(test.password, attributes); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.password, got, test.want)
		}
	}
	if got := (Validators{MinLength: 1}).Validate("", nil); !slices.Equal(got, []string{"This password is too short. It must contain at least 1 character."}) {
		t.Errorf("a least length of one: %q", got)
	}
	asked := 0
	breached := Validators{Numeric: true, Breached: func(string) bool { asked++; return true }}
	if got := breached.Validate("x", nil); !slices.Equal(got, []string{"This password has appeared in a data breach."}) {
		t.Errorf("a data breach: %q", got)
	}
	if got := breached.Validate("1", nil); !slices.Equal(got, []string{"This password is entirely numeric."}) || asked != 1 {
		t.Errorf("a refused password is asked about, too: %q", got)
	}
	if got := (Validators{}).Validate("1", attributes); got != nil {
		t.Errorf("no validators: %q", got)
	}
}

func TestSimilarityIsThatOfPython(t *testing.T) {
	for _, test := range []struct {
		password, value string
		want            bool
	}{ // by Python's re and difflib, as Django uses them
		{"testclient", "testclient", true},
		{"testclient", "Test", false},
		{"example.com", "testclient@example.com", true},
		{"jane", "jane.doe", true},
		{"adabcade", "abcdefg", false},
		{"xabcdefgx12", "abcdefg", true},
		{"abcdefg123456", "abcdefg", true}, // just 0.7
		{"abcdefg1234567", "abcdefg", false},
		{"gfedcba", "ABCDEFG", true},
		{"aaaaaaaaaa", "a", false},
		{"", "", false},
		{"", "@x", true}, // Python finds two empty texts the same
		{"żółw1", "żółw", true},
	} {
		if _, got := similar(test.password, []Attribute{{"value", test.value}}); got != test.want {
			t.Errorf("%q and %q: %t, want %t", test.password, test.value, got, test.want)
		}
	}
}
