package gate

import (
	"strings"
	"testing"
)

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
