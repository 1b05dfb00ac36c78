package gate

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAMethodThatHTTP2LetsThroughIsMalformed(t *testing.T) {
	for _, method := range []string{"DELETE ", " DELETE", "DELETE,GET", "DELETE\t", "É"} {
		r := httptest.NewRequest("GET", "/x", nil)
		if r.Method = method; !malformed(r, false) { // as HTTP/2 has it
			t.Errorf("%q is a method", method)
		}
	}
}

func BenchmarkTarget(b *testing.B) {
	for _, path := range []string{"/", "/api/v1/users/42", "/assets/" + strings.Repeat("0123456789abcdef/", 8) + "index.min.js"} {
		b.Run(path[:min(len(path), 20)], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if ambiguousPath(path) {
					b.Fatal(path)
				}
			}
		})
	}
}
