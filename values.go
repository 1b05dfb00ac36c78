package djoser

// values are the members of a request that passed their checks. A member that
// was left out is not among them.
type values map[string]any

// text is a value that is text, or empty.
func (v values) text(name string) string {
	s, _ := v[name].(string)
	return s
}
