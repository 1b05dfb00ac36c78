package gate

import (
	"net/http/httptest"
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
