package directive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

var placeholder = regexp.MustCompile(`\{[a-z]+\.`)

// HasPlaceholder reports whether a text has a placeholder that is replaced when the
// configuration is loaded, such as {env.DOMAIN}.
func HasPlaceholder(text string) bool { return placeholder.MatchString(text) }

// AsLoaded returns settings that were just parsed as they will be loaded: from JSON, which it
// also returns. To check the copy leaves alone what was parsed.
func AsLoaded[T any](parsed *T) (loaded *T, text string, err error) {
	b, err := json.Marshal(parsed)
	if err != nil {
		return nil, "", err
	}
	loaded = new(T)
	return loaded, string(b), json.Unmarshal(b, loaded)
}

// Expand replaces the placeholders in a setting, such as {env.*} and {file.*}. An empty
// or unknown one is an error, so that no server runs with an empty password.
func Expand(setting, value string) (string, error) {
	expanded, err := caddy.NewReplacer().ReplaceFunc(value, func(name string, value any) (any, error) {
		if caddy.ToString(value) == "" {
			return nil, whyEmpty(name)
		}
		return value, nil
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	return expanded, nil
}

// ExpandAll replaces the placeholders in the values of a setting.
func ExpandAll(setting string, values []string) error {
	for i, value := range values {
		expanded, err := Expand(setting, value)
		if err != nil {
			return err
		}
		values[i] = expanded
	}
	return nil
}

// whyEmpty explains an empty placeholder. It only names known placeholders: others may be
// part of a password.
func whyEmpty(name string) error {
	if variable, ok := strings.CutPrefix(name, "env."); ok {
		if _, set := os.LookupEnv(variable); !set {
			return fmt.Errorf("{%s} is not set in the environment", name)
		}
		return fmt.Errorf("{%s} is empty", name)
	}
	if file, ok := strings.CutPrefix(name, "file."); ok {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("{%s}: %w", name, err)
		}
		return fmt.Errorf("{%s} is empty, or can't be read", name)
	}
	return errors.New(`a brace stands for a placeholder, and this one is unknown; write \{ for the brace itself`)
}
