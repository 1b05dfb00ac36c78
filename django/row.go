package django

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
)

// Row is an object in what Django's dumpdata writes.
type Row struct {
	Model  string                     `json:"model"`
	PK     json.RawMessage            `json:"pk"`
	Fields map[string]json.RawMessage `json:"fields"`

	// Number is the row's place in the dump, from 1, unless it says another.
	Number int `json:"row"`
}

func IsNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// id is the row's primary key, zero if it has none.
func (r *Row) id() (uint64, error) {
	if IsNull(r.PK) {
		return 0, nil
	}
	return parseID(r.PK)
}

func parseID(raw json.RawMessage) (uint64, error) {
	id, err := strconv.ParseUint(string(raw), 10, 63)
	if err != nil || id == 0 {
		return 0, errors.New("its primary key is not a positive whole number, as ids here are: dump with --natural-primary --natural-foreign")
	}
	return id, nil
}

func (r *Row) text(name string) (string, error) {
	raw, ok := r.Fields[name]
	if !ok || IsNull(raw) {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("%s is not text", name)
	}
	return s, nil
}

func (r *Row) flag(name string, def bool) (bool, error) {
	raw, ok := r.Fields[name]
	if !ok || IsNull(raw) {
		return def, nil
	}
	var b bool
	if err := json.Unmarshal(raw, &b); err != nil {
		return false, fmt.Errorf("%s is not true or false", name)
	}
	return b, nil
}

func (r *Row) number(name string, def int64) (int64, error) {
	raw, ok := r.Fields[name]
	if !ok || IsNull(raw) {
		return def, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a whole number", name)
	}
	return n, nil
}

// time reads a time as DjangoJSONEncoder writes it: in milliseconds, without a
// fraction if there are no microseconds. So .000 means less than a millisecond;
// it is kept as one microsecond, so that an export writes .000 again. Without
// USE_TZ there is no zone, and UTC is assumed.
func (r *Row) time(name string) (time.Time, error) {
	s, err := r.text(name)
	if err != nil || s == "" {
		return time.Time{}, err
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		t = t.UTC().Truncate(time.Microsecond)
		if t.Nanosecond() == 0 && strings.Contains(s, ".000") {
			t = t.Add(time.Microsecond)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%s is not a time", name)
}

func formatTime(t time.Time) string {
	if t.Nanosecond()/1000 == 0 {
		return t.UTC().Format("2006-01-02T15:04:05Z")
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// keys are the primary or natural keys in a many-to-many field.
func (r *Row) keys(name string) ([]json.RawMessage, error) {
	raw, ok := r.Fields[name]
	if !ok || IsNull(raw) {
		return nil, nil
	}
	var keys []json.RawMessage
	if err := json.Unmarshal(raw, &keys); err != nil {
		return nil, fmt.Errorf("%s is not a list", name)
	}
	return keys, nil
}

// naturalKey is a key in the form of a list of texts, or nil.
func naturalKey(raw json.RawMessage, n int) []string {
	var key []string
	if json.Unmarshal(raw, &key) != nil || len(key) != n {
		return nil
	}
	return key
}

// value is a field of the user model. Text is kept as it is, with a warning if the
// API would refuse it.
func (r *Row) value(f *model.Field) (value any, warning string, err error) {
	raw := r.Fields[f.Name]
	if IsNull(raw) {
		return nil, "", nil
	}
	decoded, err := drf.DecodeJSON(raw)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", f.Name, err)
	}
	value, messages := f.Parse(drf.PythonText(decoded))
	text, isText := decoded.(string)
	isText = isText && f.Type.Holds(text)
	switch {
	case len(messages) == 0 && isText:
		return text, "", nil // not as Parse normalizes it
	case len(messages) == 0:
		return value, "", nil
	case isText:
		return text, fmt.Sprintf("%s: %s It is kept.", f.Name, messages[0]), nil
	}
	return nil, "", fmt.Errorf("%s: %s", f.Name, messages[0])
}

// userFields are the columns of Django's AbstractUser that a user model doesn't
// declare.
var userFields = []string{
	"password", "last_login", "is_superuser", "is_staff", "is_active", "date_joined", "groups", "user_permissions",
}

// PythonObject writes JSON as Python's json does: in the order given, with spaces.
type PythonObject struct {
	bytes.Buffer
	Err error
}

func (o *PythonObject) Member(name string, value any) {
	if o.Len() == 0 {
		o.WriteByte('{')
	} else {
		o.WriteString(", ")
	}
	o.value(name)
	o.WriteString(": ")
	o.value(value)
}

func (o *PythonObject) value(v any) {
	if raw, ok := v.(json.RawMessage); ok {
		o.Write(raw)
		return
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil && o.Err == nil {
		o.Err = err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if _, isText := v.(string); !isText {
		text = drf.Spaced(text)
	}
	o.Write(text)
}

// End returns the object's text.
func (o *PythonObject) End() json.RawMessage {
	o.WriteByte('}')
	return o.Bytes()
}

// permissionName is a permission as it is stored: its natural key as
// app.model.codename. A permission that isn't in the dump is stored as its id.
func permissionName(natural []string) string {
	return natural[1] + "." + natural[2] + "." + natural[0]
}

// permissionKey is the reverse of permissionName.
func permissionKey(name string) any {
	if id, err := strconv.ParseUint(name, 10, 64); err == nil {
		return id
	}
	if parts := strings.SplitN(name, ".", 3); len(parts) == 3 {
		return []string{parts[2], parts[0], parts[1]}
	}
	return name
}

func permissionKeys(names []string) []any {
	keys := make([]any, len(names))
	for i, name := range names {
		keys[i] = permissionKey(name)
	}
	return keys
}

// accountRow is an account as dumpdata would write it.
func accountRow(m *model.Model, a *model.Account, model string, groups map[string]uint64) (json.RawMessage, error) {
	var f PythonObject
	f.Member("password", a.Password)
	f.Member("last_login", timeOrNull(a.LastLogin))
	f.Member("is_superuser", a.IsSuperuser)
	written := slices.Clone(userFields)
	for _, d := range exportedFields(m) {
		written = append(written, d.Name)
		if d.Name == "username" && d != m.Username && a.Username == "" {
			continue // a model without usernames
		}
		f.Member(d.Name, d.Value(a))
		if d.Name == "email" {
			f.Member("is_staff", a.IsStaff)
			f.Member("is_active", a.IsActive)
			if !a.DateJoined.IsZero() {
				f.Member("date_joined", formatTime(a.DateJoined))
			}
		}
	}
	keys := make([]any, len(a.Groups))
	for i, name := range a.Groups {
		if keys[i] = []string{name}; groups[name] != 0 {
			keys[i] = groups[name]
		}
	}
	slices.SortFunc(keys, compareKeys)
	f.Member("groups", keys)
	f.Member("user_permissions", permissionKeys(a.Permissions))

	var row PythonObject
	row.Member("model", model)
	row.Member("pk", a.ID)
	row.Member("fields", f.End())
	return row.End(), errors.Join(f.Err, row.Err)
}

// compareKeys sorts ids before names.
func compareKeys(a, b any) int {
	x, isID := a.(uint64)
	y, otherID := b.(uint64)
	switch {
	case isID && otherID:
		return int(min(1, max(-1, int64(x)-int64(y))))
	case isID:
		return -1
	case otherID:
		return 1
	}
	return strings.Compare(a.([]string)[0], b.([]string)[0])
}

// exportedFields are the declared fields in the order of Django's AbstractUser:
// the names and email, then what the project added.
func exportedFields(m *model.Model) []*model.Field {
	fields := []*model.Field{m.Field("username"), m.Field("first_name"), m.Field("last_name"), m.Field("email")}
	for _, f := range m.Declared {
		if !slices.Contains(fields, f) {
			fields = append(fields, f)
		}
	}
	return fields
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return formatTime(t)
}
