package changes

import "testing"

func FuzzChange(f *testing.F) {
	f.Add(Encode(map[string]Write{"a": {Value: []byte("x"), Expires: 7}, "b": {}}))
	f.Fuzz(func(t *testing.T, text []byte) { Decode(text, func(Write) {}) })
}
