package djoser

import (
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/api"
)

func TestFieldsHaveNoPathsOfEndpoints(t *testing.T) {
	for _, name := range []string{"me", "register", "login", "logout", "activate", "tokens", "password"} {
		model := &account.UserModel{Fields: []account.FieldSettings{{Name: name, Type: "text"}}}
		if _, err := model.Resolve(api.FirstSegments()); err == nil || !strings.Contains(err.Error(), "the name is reserved") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
