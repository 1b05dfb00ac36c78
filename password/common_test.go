package password

import (
	"slices"
	"strings"
	"testing"
)

func TestTheListOfCommonPasswordsIsLongAndSorted(t *testing.T) {
	list := common()
	if len(list) < 20_000 {
		t.Errorf("%d passwords", len(list))
	}
	if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Error("it is not sorted, or has a password twice")
	}
	for _, p := range list {
		if p == "" || p != strings.TrimSpace(strings.ToLower(p)) {
			t.Errorf("%q is never found", p)
		}
	}
}

func TestACommonPasswordIsFoundInEveryGuise(t *testing.T) {
	list := common()
	for _, p := range []string{"password", "PASSWORD", " qwerty\t", "\n123456\n", list[0], list[len(list)-1]} {
		if !isCommon(p) {
			t.Errorf("%q is not found", p)
		}
	}
	for _, p := range []string{"", " ", "\n", "passwor", "assword", "a-safe-password", list[0] + "\n" + list[1]} {
		if isCommon(p) && !slices.Contains(list, p) {
			t.Errorf("%q is found", p)
		}
	}
}

func BenchmarkCommon(b *testing.B) {
	for b.Loop() {
		isCommon("zzzz correct horse battery staple")
	}
}
