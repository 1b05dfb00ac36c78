package djoser

import (
	"cmp"
	"fmt"
	"regexp"
)

const defaultRealm = "default"

var realmName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// expandRealm replaces placeholders in the name of a realm. An empty one is the
// default.
func expandRealm(name *string) error {
	*name = cmp.Or(*name, defaultRealm)
	expanded, err := expand("realm", *name)
	if err != nil {
		return err
	}
	*name = expanded
	return checkRealmName(expanded)
}

func checkRealmName(name string) error {
	if !realmName.MatchString(name) {
		return fmt.Errorf("realm name %q: use letters, digits, and . _ - inside", name)
	}
	return nil
}
