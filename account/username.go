package account

import "fmt"

// SameName reports whether a new username equals its repetition.
func (m *Model) SameName(name, again string) bool {
	parsed, _ := m.Username.Parse(again)
	return parsed == name
}

// checkNameSettings refuses case_insensitive and single_script for other fields than a
// username that isn't an address.
func (m *Model) checkNameSettings() error {
	for _, f := range m.Declared {
		for name, on := range map[string]bool{"case_insensitive": f.foldCase, "single_script": f.oneScript} {
			switch {
			case !on:
			case f != m.Username:
				return fmt.Errorf("field %s: %s is for the username field, which is %s", f.Name, name, m.Username.Name)
			case f.IsAddress():
				return fmt.Errorf("field %s: %s is for usernames: addresses are ASCII, and compared without case", f.Name, name)
			}
		}
	}
	return nil
}
