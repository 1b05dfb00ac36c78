package fieldtype

import (
	"reflect"
	"testing"
)

func TestTypesOfTheUsernameField(t *testing.T) {
	if got := Names(IsName); got != "char or email" {
		t.Errorf("the username field may be %s", got)
	}
	for _, c := range []struct {
		rules            NameRules
		name, normalized string
		ok               bool
	}{
		{Char{}, "ﬁnn", "finn", true},
		{Char{}, "Ann", "Ann", true},
		{Char{}, ".ann", ".ann", false},
		{Char{}, "+", "+", false},
		{Char{}, "a b", "a b", false},
		{Char{}, "a\u3164", "a\u1160", false},
		{Email{}, "A@B.Example", "A@b.example", true},
	} {
		got := c.rules.Normalize(c.name)
		if ok := c.rules.CheckName(got); got != c.normalized || ok != c.ok {
			t.Errorf("%T: %q is %q, %t, want %q, %t", c.rules, c.name, got, ok, c.normalized, c.ok)
		}
	}
}

// What the code takes for granted of every type.
func TestTypesAreWhole(t *testing.T) {
	for _, typ := range types {
		traits := typ.Traits()
		switch _, isText := traits.Zero.(string); {
		case Named(traits.Name) != typ:
			t.Errorf("%T: another type is called %q", typ, traits.Name)
		case traits.APIName == "" || traits.Zero == nil:
			t.Errorf("%s: %+v", traits.Name, traits)
		case traits.MaxLength != 0 && !traits.HasLength:
			t.Errorf("%s: a max_length that it doesn't take", traits.Name)
		case !traits.Nullable && !typ.Holds(traits.Zero):
			t.Errorf("%s: %#v, which stands for no value, is not one", traits.Name, traits.Zero)
		case traits.Address && !isText:
			t.Errorf("%s: an address of %s", traits.Name, reflect.TypeOf(traits.Zero))
		}
	}
}
