package username

import (
	"crypto/rand"
	"math/big"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// maxCandidate is the maximum length of a candidate without its number, in characters.
const maxCandidate = 24

// Candidates returns usernames to try for somebody new, from what is known of them, such
// as a name elsewhere or an address. Of an address it takes the part before @, so that no
// name looks like somebody's address. The last ones have random numbers.
func Candidates(known ...string) []string {
	base := "user"
	for _, text := range known {
		if plain := clean(text); plain != "" {
			base = plain
			break
		}
	}
	names := []string{base}
	for n := 2; n < 6; n++ {
		names = append(names, base+strconv.Itoa(n))
	}
	for _, digits := range []int64{1e4, 1e6, 1e8} {
		n, _ := rand.Int(rand.Reader, big.NewInt(digits*9)) // never fails; see crypto/rand
		names = append(names, base+strconv.FormatInt(digits+n.Int64(), 10))
	}
	return append(names, "user"+names[len(names)-1][len(base):])
}

// clean keeps the characters of a text that a username can have. It is empty if there is
// no letter or digit among them.
func clean(text string) string {
	text, _, _ = strings.Cut(text, "@")
	var b strings.Builder
	n := 0
	for _, r := range norm.NFKC.String(text) {
		if r == ' ' {
			r = '.'
		}
		if n < maxCandidate && IsValid("a"+string(r)) && (b.Len() > 0 || IsValid(string(r))) {
			b.WriteRune(r)
			n++
		}
	}
	return strings.TrimRight(b.String(), ".-_+")
}
