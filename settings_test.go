package djoser

import (
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/model"
)

func TestFieldsHaveNoPathsOfEndpoints(t *testing.T) {
	for _, name := range []string{"me", "register", "login", "logout", "activate", "tokens", "password"} {
		users := &model.UserModel{Fields: []model.FieldSettings{{Name: name, Type: "text"}}}
		if _, err := users.Resolve(api.FirstSegments()); err == nil || !strings.Contains(err.Error(), "the name is reserved") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
