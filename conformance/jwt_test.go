package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/model"
)

// The recorded cases of simplejwt.

// simpleJWT are its settings; times in seconds.
type simpleJWT struct {
	Access      int      `json:"ACCESS_TOKEN_LIFETIME"`
	Refresh     int      `json:"REFRESH_TOKEN_LIFETIME"`
	Rotate      bool     `json:"ROTATE_REFRESH_TOKENS"`
	HeaderTypes []string `json:"AUTH_HEADER_TYPES"`
}

// jwtBlock returns the block jwt of a case, if it has JWT. The others were recorded without.
func (c *recordedCase) jwtBlock() string {
	if !strings.HasPrefix(c.Name, "jwt.") && c.Name != "path.jwt" {
		return ""
	}
	var b strings.Builder
	s := c.Env.SimpleJWT
	if s.Access > 0 {
		fmt.Fprintf(&b, "access %ds\nrefresh %ds\n", s.Access, s.Refresh)
	}
	if s.Rotate {
		b.WriteString("rotate\n")
	}
	if s.HeaderTypes != nil {
		b.WriteString("header_types " + strings.Join(s.HeaderTypes, " ") + "\n")
	}
	return "jwt {\n" + b.String() + "}\n"
}

// hideJWT replaces JWT by placeholders, and returns them by the names of their members.
func (a comparedAnswer) hideJWT() map[string]string {
	hidden := make(map[string]string)
	body, _ := a.Body.(map[string]any)
	for _, name := range []string{"access", "refresh"} {
		if text, ok := body[name].(string); ok && strings.Count(text, ".") == 2 {
			hidden[name] = text
			body[name] = "{{" + name + "}}"
		}
	}
	return hidden
}

// countAuthTokens counts the log-ins that simplejwt doesn't keep.
func countAuthTokens(tokens []*model.Token) int {
	return len(slices.DeleteFunc(tokens, func(t *model.Token) bool { return t.Generation > 0 }))
}
