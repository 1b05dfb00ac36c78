package account

import (
	"strings"
	"unicode"
)

// UnsafeGroup tells whether a group can't be passed on: commas separate
// groups, back ends trim what stands between them, and staff and superuser are
// flags of an account. Django allows each of these names.
func UnsafeGroup(name string) bool {
	return name == "" || strings.TrimSpace(name) != name ||
		strings.Contains(name, ",") || strings.ContainsFunc(name, unicode.IsControl) ||
		strings.EqualFold(name, "staff") || strings.EqualFold(name, "superuser")
}

// maxGroups and maxGroup bound the groups of an account, and a group's name in
// bytes.
const (
	MaxGroups = 1000
	MaxGroup  = 150
)
