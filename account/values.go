package account

// Values are the members of a request that passed their checks. A member that
// was left out is not among them.
type Values map[string]any

// Text is a value that is text, or empty.
func (v Values) Text(name string) string {
	s, _ := v[name].(string)
	return s
}
