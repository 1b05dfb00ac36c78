package directive

import (
	"cmp"
	"fmt"
	"regexp"
)

// DefaultRealm is the name of the realm if none is given.
const DefaultRealm = "default"

var realmName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// ExpandRealm replaces placeholders in the name of a realm. An empty name becomes the
// default.
func ExpandRealm(name *string) error {
	*name = cmp.Or(*name, DefaultRealm)
	expanded, err := Expand("realm", *name)
	if err != nil {
		return err
	}
	*name = expanded
	return CheckRealmName(expanded)
}

// CheckRealmName returns an error unless name can be the name of a realm.
func CheckRealmName(name string) error {
	if !realmName.MatchString(name) {
		return fmt.Errorf("realm name %q: use letters, digits, and . _ - inside", name)
	}
	return nil
}
