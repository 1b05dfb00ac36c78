// Package directive parses the arguments of Caddyfile directives, and placeholders in
// settings.
package directive

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// OneArg parses one text.
func OneArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if !d.NextArg() {
		return d.Errf("%s needs a value; one that starts with # must be quoted: %s \"#/...\"", name, name)
	}
	*value = d.Val()
	return NoMoreArgs(d, name)
}

// NoMoreArgs returns an error if the directive has more arguments on its line.
func NoMoreArgs(d *caddyfile.Dispenser, name string) error {
	if d.NextArg() {
		return d.Errf("unexpected argument '%s' after %s: a value with spaces must be quoted", d.Val(), name)
	}
	return nil
}

// TextArg parses one text that isn't empty.
func TextArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if err := OneArg(d, value); err != nil {
		return err
	}
	if *value == "" {
		return d.Errf("%s is empty: give it a value, or leave it out", name)
	}
	return nil
}

// CheckedArg parses one text that must pass a check.
func CheckedArg(d *caddyfile.Dispenser, value *string, check func(string) error) error {
	if err := OneArg(d, value); err != nil {
		return err
	}
	return Refused(d, Expandable(check)(*value))
}

// Expandable wraps a check to accept placeholders. The values are checked when the
// configuration is loaded.
func Expandable(check func(string) error) func(string) error {
	return func(value string) error {
		if strings.Contains(value, "{") {
			return nil
		}
		return check(value)
	}
}

// Refused adds the file and line to an error, if any.
func Refused(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// LineOf returns the place of the line that the text of an error is about, in the directive
// that begins at d: the line min_length in the block password for "password min_length is …".
// It is d if no line has that name.
func LineOf(d *caddyfile.Dispenser, text string) *caddyfile.Dispenser {
	place := *d
	for _, word := range strings.Fields(text) {
		next := place
		for line := next.Line(); next.Val() != strings.TrimSuffix(word, ":") || next.Line() == line; {
			line = next.Line()
			if !next.Next() {
				return &place
			}
		}
		place = next
	}
	return &place
}

// ListArg parses one or more texts.
func ListArg(d *caddyfile.Dispenser, values *[]string) error {
	return CheckedListArg(d, values, func(string) error { return nil })
}

// CheckedListArg parses one or more texts that must pass a check.
func CheckedListArg(d *caddyfile.Dispenser, values *[]string, check func(string) error) error {
	name := d.Val()
	for d.NextArg() {
		value := d.Val()
		if value == "" {
			return d.Errf("%s has an empty value: leave it out", name)
		}
		if err := check(value); err != nil {
			return d.WrapErr(err)
		}
		*values = append(*values, value)
	}
	if len(*values) == 0 {
		return d.Errf("%s needs at least one value", name)
	}
	return nil
}

// SwitchArg parses on, off, true, false, or nothing for on.
func SwitchArg(d *caddyfile.Dispenser, value *bool) error {
	name := d.Val()
	*value = true
	if !d.NextArg() {
		return nil
	}
	switch d.Val() {
	case "on", "true":
	case "off", "false":
		*value = false
	default:
		return d.Errf("%s is '%s': it must be on or off", name, d.Val())
	}
	return NoMoreArgs(d, name)
}

// IntArg parses one integer from least to most.
func IntArg(d *caddyfile.Dispenser, value *int, least, most int) error {
	name := d.Val()
	var text string
	if err := OneArg(d, &text); err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return d.Errf("%s is '%s': it must be a whole number from %d to %d", name, text, least, most)
	}
	*value = n
	return nil
}

// SizeArg parses one size in bytes, such as 10MB.
func SizeArg(d *caddyfile.Dispenser, value *int64) error {
	name := d.Val()
	var text string
	if err := OneArg(d, &text); err != nil {
		return err
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > 1<<50 {
		return d.Errf("%s is '%s': it must be a size such as 64KiB or 1MB", name, text)
	}
	*value = int64(n)
	return nil
}

// DurationArg parses one duration, such as 90s or 14d.
func DurationArg(d *caddyfile.Dispenser, value *caddy.Duration) error {
	name := d.Val()
	var text string
	if err := OneArg(d, &text); err != nil {
		return err
	}
	n, err := caddy.ParseDuration(text)
	if err != nil || n < time.Second {
		return d.Errf("%s is '%s': it must be a duration of at least a second, such as 30m, 12h or 3d", name, text)
	}
	*value = caddy.Duration(n)
	return nil
}

// DurationOrZeroArg is DurationArg that also accepts 0.
func DurationOrZeroArg(d *caddyfile.Dispenser, value *caddy.Duration) error {
	next := *d
	if next.NextArg() && next.Val() == "0" && !next.NextArg() {
		d.NextArg()
		*value = 0
		return nil
	}
	return DurationArg(d, value)
}

// OffArg parses the word off, if it is the only argument.
func OffArg(d *caddyfile.Dispenser) (off bool, err error) {
	name := d.Val()
	if !d.NextArg() {
		return false, nil
	}
	if d.Val() != "off" {
		d.Prev()
		return false, nil
	}
	return true, NoMoreArgs(d, name)
}

// ModuleArg parses the name of a guest module, which parses the rest.
func ModuleArg(d *caddyfile.Dispenser, namespace string, value *json.RawMessage) error {
	name := d.Val()
	if !d.NextArg() {
		return d.Errf("%s needs the name of an engine: %s", name, strings.Join(Engines(namespace), ", "))
	}
	engine := d.Val()
	if _, err := caddy.GetModule(namespace + engine); err != nil {
		if strings.HasPrefix(engine, "/") {
			return d.Errf("%s needs the name of an engine before %s: '%s %s %s'", name, engine, name, firstWithPath(namespace), engine)
		}
		return d.Errf("unknown %s '%s': use %s, or build Caddy with the module %s", name, engine, strings.Join(Engines(namespace), ", "), namespace+engine)
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+engine)
	if err != nil {
		return err
	}
	*value = caddyconfig.JSONModuleObject(module, "engine", engine, nil)
	return nil
}

// firstWithPath is the engine in a namespace that takes a folder.
func firstWithPath(namespace string) string {
	for _, engine := range []string{"badger", "file"} {
		if _, err := caddy.GetModule(namespace + engine); err == nil {
			return engine
		}
	}
	return Engines(namespace)[0]
}

// Engines returns the names of the modules in a namespace.
func Engines(namespace string) []string {
	var names []string
	for _, m := range caddy.GetModules(strings.TrimSuffix(namespace, ".")) {
		names = append(names, m.ID.Name())
	}
	return names
}

// Block parses the lines of a required block.
func Block(d *caddyfile.Dispenser, name string, line func(name string) error) error {
	if d.NextArg() {
		return d.Errf("unexpected argument '%s': %s takes a block", d.Val(), name)
	}
	if err := OptionalBlock(d, line); err != nil {
		return err
	}
	if d.Val() != "}" {
		return d.Errf("%s needs a block: '%s {' and its lines", name, name)
	}
	return nil
}

// repeatable are the names of lines that may be there several times.
var repeatable = []string{"field", "provider"}

// OptionalBlock parses the lines of a block, if any.
func OptionalBlock(d *caddyfile.Dispenser, line func(name string) error) error {
	seen := make(map[string]bool)
	nesting := d.Nesting()
	for d.NextBlock(nesting) {
		name := d.Val()
		if name == "{" {
			return d.Err("unexpected '{': this line takes no block")
		}
		if seen[name] && !slices.Contains(repeatable, name) {
			return d.Errf("duplicate %s", name)
		}
		seen[name] = true
		if err := line(name); err != nil {
			return err
		}
	}
	if d.Nesting() > nesting {
		return d.Err("a block isn't closed: a '}' on a line of its own is missing")
	}
	return nil
}
