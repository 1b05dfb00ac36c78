package djoser

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// oneArg takes one text.
func oneArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if !d.NextArg() {
		return d.Errf("%s needs a value; one that starts with # must be quoted: %s \"#/...\"", name, name)
	}
	*value = d.Val()
	return noMoreArgs(d, name)
}

func noMoreArgs(d *caddyfile.Dispenser, name string) error {
	if d.NextArg() {
		return d.Errf("unexpected argument '%s' after %s: a value with spaces must be quoted", d.Val(), name)
	}
	return nil
}

// textArg takes one text that isn't empty.
func textArg(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if err := oneArg(d, value); err != nil {
		return err
	}
	if *value == "" {
		return d.Errf("%s is empty: give it a value, or leave it out", name)
	}
	return nil
}

// checkedArg takes one text that passes a check.
func checkedArg(d *caddyfile.Dispenser, value *string, check func(string) error) error {
	if err := oneArg(d, value); err != nil {
		return err
	}
	return refused(d, expandable(check)(*value))
}

// expandable is a check that passes over placeholders. It is made again with
// what they stand for when the configuration is loaded.
func expandable(check func(string) error) func(string) error {
	return func(value string) error {
		if strings.Contains(value, "{") {
			return nil
		}
		return check(value)
	}
}

// refused says where the cause of an error stands, if there is one.
func refused(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// listArg takes one text or more.
func listArg(d *caddyfile.Dispenser, values *[]string) error {
	return checkedListArg(d, values, func(string) error { return nil })
}

// checkedListArg takes one text or more that pass a check.
func checkedListArg(d *caddyfile.Dispenser, values *[]string, check func(string) error) error {
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

// switchArg takes nothing for on, or on, off, true, false.
func switchArg(d *caddyfile.Dispenser, value *bool) error {
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
	return noMoreArgs(d, name)
}

func intArg(d *caddyfile.Dispenser, value *int, least, most int) error {
	name := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return d.Errf("%s is '%s': it must be a whole number from %d to %d", name, text, least, most)
	}
	*value = n
	return nil
}

func sizeArg(d *caddyfile.Dispenser, value *int64) error {
	name := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > 1<<50 {
		return d.Errf("%s is '%s': it must be a size such as 64KiB or 1MB", name, text)
	}
	*value = int64(n)
	return nil
}

func durationArg(d *caddyfile.Dispenser, value *caddy.Duration) error {
	name := d.Val()
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	n, err := caddy.ParseDuration(text)
	if err != nil || n < time.Second {
		return d.Errf("%s is '%s': it must be a duration of at least a second, such as 30m, 12h or 3d", name, text)
	}
	*value = caddy.Duration(n)
	return nil
}

// durationOrZeroArg is durationArg for what 0 switches off.
func durationOrZeroArg(d *caddyfile.Dispenser, value *caddy.Duration) error {
	next := *d
	if next.NextArg() && next.Val() == "0" && !next.NextArg() {
		d.NextArg()
		*value = 0
		return nil
	}
	return durationArg(d, value)
}

// offArg passes over the word off, if it is the one argument of the line.
func offArg(d *caddyfile.Dispenser) (off bool, err error) {
	name := d.Val()
	if !d.NextArg() {
		return false, nil
	}
	if d.Val() != "off" {
		d.Prev()
		return false, nil
	}
	return true, noMoreArgs(d, name)
}

// moduleArg takes the name of a guest module and has it parse the rest.
func moduleArg(d *caddyfile.Dispenser, namespace string, value *json.RawMessage) error {
	name := d.Val()
	if !d.NextArg() {
		return d.Errf("%s needs the name of an engine: %s", name, strings.Join(engines(namespace), ", "))
	}
	engine := d.Val()
	if _, err := caddy.GetModule(namespace + engine); err != nil {
		return d.Errf("unknown %s '%s': use %s, or build Caddy with the module %s", name, engine, strings.Join(engines(namespace), ", "), namespace+engine)
	}
	module, err := caddyfile.UnmarshalModule(d, namespace+engine)
	if err != nil {
		return err
	}
	*value = caddyconfig.JSONModuleObject(module, "engine", engine, nil)
	return nil
}

// engines are the modules of a namespace, by their last names.
func engines(namespace string) []string {
	var names []string
	for _, m := range caddy.GetModules(strings.TrimSuffix(namespace, ".")) {
		names = append(names, m.ID.Name())
	}
	return names
}

// block parses the lines of a block that must be there.
func block(d *caddyfile.Dispenser, name string, line func(name string) error) error {
	if d.NextArg() {
		return d.Errf("unexpected argument '%s': %s takes a block", d.Val(), name)
	}
	if err := optionalBlock(d, line); err != nil {
		return err
	}
	if d.Val() != "}" {
		return d.Errf("%s needs a block: '%s {' and its lines", name, name)
	}
	return nil
}

// optionalBlock parses the lines of a block, if there is one.
func optionalBlock(d *caddyfile.Dispenser, line func(name string) error) error {
	seen := make(map[string]bool)
	nesting := d.Nesting()
	for d.NextBlock(nesting) {
		name := d.Val()
		if name == "{" {
			return d.Err("unexpected '{': this line takes no block")
		}
		if seen[name] && name != "field" {
			return d.Errf("%s stands here twice", name)
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
