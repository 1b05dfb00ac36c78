package repair

import (
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/stores/badger/sst"
)

func TestRangesOfKeysAreJoined(t *testing.T) {
	for _, test := range []struct{ ranges, inside, outside string }{
		{"", "", "a b z"},
		{"b-d", "b bb c d", "a dd e"},
		{"b-d c-f", "b c d e f", "a ff g"},
		{"c-d b-f", "b d ee f", "a g"},
		{"b-c e-f", "b c e ee f", "a cc d g"},
		{"e- b-c", "b c e z", "a cc d"},
		{"b- c-d", "b c d z", "a"},
		{"b-c b-e", "b c d e", "a f"},
		{"-", "a b z", ""},
		{"d-e -", "a d z", ""},
	} {
		var r ranges
		for _, text := range strings.Fields(test.ranges) {
			from, to, _ := strings.Cut(text, "-")
			next := sst.Range{From: []byte(from)}
			if to != "" {
				next.To = []byte(to)
			}
			r = append(r, next)
		}
		r.merge()
		for _, key := range strings.Fields(test.inside) {
			if !r.contain([]byte(key)) {
				t.Errorf("%s: %s is not in it", test.ranges, key)
			}
		}
		for _, key := range strings.Fields(test.outside) {
			if r.contain([]byte(key)) {
				t.Errorf("%s: %s is in it", test.ranges, key)
			}
		}
	}
}
