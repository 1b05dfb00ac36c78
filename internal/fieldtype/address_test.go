package fieldtype

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

func TestAddressesThatAreNone(t *testing.T) {
	label := strings.Repeat("a", 63)
	for _, address := range []string{
		`"<script>"@x.example`, `"<x>,y"@corp.example`, `"a"@b.example`, `"a b"@b.example`, `"a\"b"@b.example`, `""@b.example`,
		"a\u017F@b.example", "\u212A@b.example", "ä@b.example", "a@b@c.example", "a..b@c.example", ".a@b.example", "a.@b.example",
		"a@b", "a@-b.example", "a@b-.example", "a@b..example", "a@b.example.", "a@b\u3002", "a@.example", "a@LOCALHOST", "a@[1.2.3]", "a@[1.2.3.4", "a@[fe80::1%eth0]",
		"a@xn--\u00FC.example", "a@" + strings.Repeat("ü", 60) + ".example", "a@" + label + "a.example", "a@b\u0000.example", "a@b\u200D.example", "a@b_c.example",
		"a@" + strings.Repeat("b.", 126) + "example", strings.Repeat("a", 250) + "@b.example", "a@" + strings.Repeat("ü.", 80) + "example",
	} {
		if got, ok := parseEmail(address); ok {
			t.Errorf("%q is taken as %q", address, got)
		}
	}
	for address, want := range map[string]string{
		"a@[::ffff:127.0.0.1]": "a@[127.0.0.1]", "a@[0:0::1]": "a@[::1]", "A.b+c@B.Example": "A.b+c@b.example",
		"a@localhost": "a@localhost", " a@b.example\x1f": "a@b.example", "a@" + label + ".example": "a@" + label + ".example",
	} {
		if got, ok := parseEmail(address); !ok || got != want {
			t.Errorf("%q is %q, %t, want %q", address, got, ok, want)
		}
		if again, ok := parseEmail(want); !ok || again != want {
			t.Errorf("%q is %q the second time", want, again)
		}
	}
}

func TestLongTextsThatNothingParses(t *testing.T) {
	long := strings.Repeat("ü", 1<<20)
	for name, parse := range map[string]func() bool{
		"host":  func() bool { _, ok := asciiHost(long); return ok },
		"email": func() bool { _, ok := parseEmail(long); return ok },
	} {
		if n := testing.AllocsPerRun(10, func() { parse() }); parse() || n != 0 {
			t.Errorf("%s: taken, or %v allocations", name, n)
		}
	}
	for kind, limit := range map[string]int{"text": maxText, "integer": maxText, "boolean": maxWord, "date": maxWord} {
		if _, errs := Named(kind).Parse(long, limit); len(errs) != 1 || errs[0] != fmt.Sprintf("Ensure this value has at most %d characters (it has %d).", limit, 1<<20) {
			t.Errorf("%s: %.200q", kind, errs)
		}
	}
}

// work counts the work of toASCII: the square of the length of each text.
var work atomic.Int64

func init() {
	ascii := toASCII
	toASCII = func(s string) (string, error) {
		work.Add(int64(len(s) * len(s)))
		return ascii(s)
	}
}

// mostWork is what one text may ask of toASCII: some host names of the greatest length.
const mostWork = 20 * maxHost * maxHost

func TestLongTextsAskForBoundedWork(t *testing.T) {
	letters := []string{"a", "\u4E00", "\uFDFA", "o\u0301\u0327", "\uFF21", "ü.", "a\u3002", "a\u00AD", "9", "\u05D0b", "\u00A0", "@.[]-\"/?#&%"}
	for _, typ := range types {
		for _, text := range letters {
			for _, around := range [][2]string{{"", ""}, {"a@", ".com"}, {"http://", ".com/"}} {
				long := around[0] + strings.Repeat(text, 60<<10/len(text)) + around[1]
				before := work.Load()
				typ.Parse(long, 150)
				if done := work.Load() - before; done > mostWork {
					t.Errorf("%T, %q between %q: %d steps", typ, text, around, done)
				}
			}
		}
	}
}
