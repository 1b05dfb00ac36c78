package directive

import (
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Unknown returns the error for a word that a block doesn't have. If it is nearly one that
// the block has, the error suggests that; else it lists them all.
func Unknown(d *caddyfile.Dispenser, name, block string, words ...string) error {
	if nearest(name, words) == "" && isDirective(name) {
		return d.Errf("'%s' is a directive, and no word of %s: is a } missing before it?", name, block)
	}
	return d.Errf("unknown word '%s' in %s%s", name, block, Suggest(name, words))
}

// isDirective reports whether a word is a directive, of Caddy or of a plugin, which is taken for
// a word of our block if that isn't closed. Caddy exports no list of them, but puts nothing
// else in order.
func isDirective(word string) bool {
	adapter := caddyconfig.GetAdapter("caddyfile")
	if adapter == nil || !directiveName.MatchString(word) {
		return false
	}
	_, _, err := adapter.Adapt([]byte("{\n\torder "+word+" first\n}\n"), nil)
	return err == nil
}

var directiveName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// Suggest is the end of an error about an unknown word: the word that may be meant, or all.
func Suggest(name string, words []string) string {
	if near := nearest(name, words); near != "" {
		return ": did you mean " + near + "?"
	}
	last := len(words) - 1
	if last == 0 {
		return ": use " + words[0]
	}
	return ": use " + strings.Join(words[:last], ", ") + " or " + words[last]
}

// maxWord bounds the work for a word that nobody means.
const maxWord = 64

// nearest returns the word that differs least from a name, if that is little: a letter or
// two, small and large letters, - for _.
func nearest(name string, words []string) (near string) {
	if len(name) > maxWord {
		return ""
	}
	plain := strings.NewReplacer("_", "", "-", "", ".", "")
	name = plain.Replace(strings.ToLower(name))
	least := min(2, len(name)/3) + 1
	for _, word := range words {
		if n := edits(name, plain.Replace(word)); n < least {
			near, least = word, n
		}
	}
	return near
}

// edits returns how many letters must be added, left out, replaced, or swapped with the next
// one to turn a into b.
func edits(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
