package djoser

import (
	"strings"
	"testing"
)

func TestFieldsHaveNoPathsOfEndpoints(t *testing.T) {
	for _, name := range []string{"me", "register", "login", "logout", "activate", "tokens", "password"} {
		model := &UserModel{Fields: []Field{{Name: name, Type: "text"}}}
		if _, err := model.resolve(firstSegments()); err == nil || !strings.Contains(err.Error(), "the name is reserved") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
