package djoser

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// UserModel describes the accounts of a realm, as a custom user model does for
// Django. Without one, accounts are those of Django's own User.
type UserModel struct {
	// UsernameField names the field that people log in with. Default:
	// username. Source: Django's USERNAME_FIELD.
	UsernameField string `json:"username_field,omitempty"`

	// RequiredFields are the fields that the API takes at registration and
	// shows under /me, beside the username field; id is shown only. Default:
	// email, unless that is the username field. Source: Django's REQUIRED_FIELDS.
	RequiredFields []string `json:"required_fields,omitzero"`

	// Fields declares further fields, or amends the built-in ones, which are
	// username, email, first_name and last_name.
	Fields []Field `json:"fields,omitempty"`
}

// Field is a field of a user model. What is not said of a built-in field stays
// as Django has it.
type Field struct {
	// Name of the field: letters, digits and underscores.
	Name string `json:"name"`

	// Type is char, text, email, url, integer, boolean or date. Required for
	// a field that isn't built in.
	Type string `json:"type,omitempty"`

	// MaxLength is the most characters that a char, email or url field takes.
	// Default: 254 for email, 200 for url, required for char.
	MaxLength *int `json:"max_length,omitempty"`

	// Unique refuses a value that another account has. Default: off; always on
	// for the username field.
	Unique *bool `json:"unique,omitempty"`

	// Blank lets the field be left out or empty. Default: off; on for
	// Django's email, first_name and last_name; always off for the username
	// field.
	Blank *bool `json:"blank,omitempty"`

	// Default is the value of an account for which none was given.
	Default *string `json:"default,omitempty"`

	// Choices are the only values that the field takes. Default: any value.
	Choices []string `json:"choices,omitempty"`

	// ReadOnly shows the field in the API, but takes it from administrators
	// only. Default: off.
	ReadOnly *bool `json:"read_only,omitempty"`

	// CaseInsensitive makes usernames that differ by case alone the same: at
	// the log-in, and for whether one is taken. For the username field.
	// Default: off, as in Django.
	CaseInsensitive *bool `json:"case_insensitive,omitempty"`

	// SingleScript refuses new usernames with letters of more than one script,
	// such as a Cyrillic letter among Latin ones that looks like one of them,
	// and with digits of more than one. Which scripts go together says UTS 39.
	// For the username field. Default: off, as in Django.
	SingleScript *bool `json:"single_script,omitempty"`
}

// userModel is a UserModel with everything decided.
type userModel struct {
	username *field
	required []*field // the username field is not among them
	declared []*field // every field, the username field first
}

// field is a Field with everything decided.
type field struct {
	name      string
	kind      string
	maxLength int // zero: any
	unique    bool
	blank     bool
	readOnly  bool
	initial   any
	choices   []string
	label     string
	helpText  string
	foldCase  bool
	oneScript bool
	login     bool // it is the username field, which has checks of its own
}

// fieldTypes are the types of fields, with REST framework's name for each in
// the answer to OPTIONS.
var fieldTypes = map[string]string{
	"char": "string", "text": "string", "email": "email", "url": "url",
	"integer": "integer", "boolean": "boolean", "date": "date",
}

// reservedFields are names that mean something else in a request, an answer or
// an account.
var reservedFields = []string{
	"id", "password", "current_password", "new_password", "re_new_password", "uid", "token", "auth_token",
	"is_active", "is_staff", "is_superuser", "groups", "permissions", "user_permissions",
	"date_joined", "last_login", "non_field_errors", "detail",
	// These would hide another endpoint, since the username field names one.
	"me", "register", "login", "logout", "activate", "tokens",
}

var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,62}$`)

func builtinFields() []*field {
	return []*field{
		{name: "username", kind: "char", maxLength: 150, label: "username"},
		{name: "email", kind: "email", maxLength: 254, blank: true, label: "email address"},
		{name: "first_name", kind: "char", maxLength: 150, blank: true, label: "first name"},
		{name: "last_name", kind: "char", maxLength: 150, blank: true, label: "last name"},
	}
}

// resolve decides what the model leaves open, and refuses what can't be.
func (u *UserModel) resolve() (*userModel, error) {
	if u == nil {
		u = &UserModel{}
	}
	m, err := declareAll(u.Fields)
	if err != nil {
		return nil, err
	}
	name := u.UsernameField
	if name == "" {
		name = "username"
	}
	if m.username = m.field(name); m.username == nil {
		return nil, fmt.Errorf("username_field %s is not a field: declare it with 'field %s char'", name, name)
	}
	if kind := m.username.kind; kind != "char" && kind != "email" {
		return nil, fmt.Errorf("username_field %s is of type %s: it must be char or email", name, kind)
	}
	m.username.unique, m.username.blank, m.username.login = true, false, true
	if m.username.readOnly {
		return nil, fmt.Errorf("username_field %s can't be read_only", name)
	}
	if m.username.initial != nil {
		return nil, fmt.Errorf("username_field %s can't have a default", name)
	}
	if err := m.checkNameSettings(); err != nil {
		return nil, err
	}
	m.username.helpText = fmt.Sprintf("Required. %d characters or fewer. Letters, digits and @/./+/-/_ only.", m.username.maxLength)
	if m.username.kind == "email" {
		m.username.helpText = ""
	}

	required := u.RequiredFields
	if required == nil && name != "email" {
		required = []string{"email"}
	}
	for i, n := range required {
		f := m.field(n)
		if n == "id" {
			f = idField()
		}
		switch {
		case f == nil:
			return nil, fmt.Errorf("required_fields: %s is not a field: declare it with 'field %s <type>'", n, n)
		case f == m.username:
			return nil, fmt.Errorf("required_fields: %s is the username field, which is always required", n)
		case slices.Contains(required[:i], n):
			return nil, fmt.Errorf("required_fields: %s stands there twice", n)
		}
		m.required = append(m.required, f)
	}
	return m, nil
}

// declareAll is a model with the built-in fields and these.
func declareAll(fields []Field) (*userModel, error) {
	m := &userModel{declared: builtinFields()}
	declared := make(map[string]bool)
	for i := range fields {
		f := &fields[i]
		if declared[f.Name] {
			return nil, fmt.Errorf("field %s is declared twice", f.Name)
		}
		declared[f.Name] = true
		if err := m.declare(f); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return m, nil
}

func (m *userModel) declare(d *Field) error {
	if !fieldName.MatchString(d.Name) {
		return errors.New("a name has letters, digits and underscores, and starts with a letter")
	}
	if slices.Contains(reservedFields, d.Name) {
		return errors.New("the name is reserved")
	}
	f := m.field(d.Name)
	if f == nil {
		if d.Type == "" {
			return errors.New("a type is needed: char, text, email, url, integer, boolean or date")
		}
		f = &field{name: d.Name, kind: d.Type, label: strings.ReplaceAll(d.Name, "_", " ")}
		m.declared = append(m.declared, f)
	} else if d.Type != "" && d.Type != f.kind {
		return fmt.Errorf("the type of this built-in field is %s, not %s", f.kind, d.Type)
	}
	return f.amend(d)
}

func (f *field) amend(d *Field) error {
	if _, ok := fieldTypes[f.kind]; !ok {
		return fmt.Errorf("unknown type %s: use char, text, email, url, integer, boolean or date", f.kind)
	}
	text := f.kind == "char" || f.kind == "email" || f.kind == "url"
	switch {
	case d.MaxLength != nil && !text:
		return fmt.Errorf("a field of type %s takes no max_length", f.kind)
	case d.MaxLength != nil && *d.MaxLength < 1:
		return fmt.Errorf("max_length is %d: it must be at least 1", *d.MaxLength)
	case d.MaxLength != nil:
		f.maxLength = *d.MaxLength
	case f.maxLength == 0 && f.kind == "email":
		f.maxLength = 254
	case f.maxLength == 0 && f.kind == "url":
		f.maxLength = 200
	case f.maxLength == 0 && f.kind == "char":
		return errors.New("a field of type char needs max_length")
	}
	if d.Unique != nil {
		f.unique = *d.Unique
	}
	if f.unique && !text && f.kind != "integer" {
		return fmt.Errorf("a field of type %s can't be unique", f.kind)
	}
	if d.Blank != nil {
		f.blank = *d.Blank
	}
	if d.ReadOnly != nil {
		f.readOnly = *d.ReadOnly
	}
	if d.CaseInsensitive != nil {
		f.foldCase = *d.CaseInsensitive
	}
	if d.SingleScript != nil {
		f.oneScript = *d.SingleScript
	}
	if err := f.setChoices(d.Choices); err != nil {
		return err
	}
	if d.Default != nil {
		if f.unique {
			return errors.New("a unique field can't have a default")
		}
		value, errs := f.parse(*d.Default)
		if len(errs) > 0 {
			return fmt.Errorf("default %q: %s", *d.Default, errs[0])
		}
		f.initial = value
	}
	return nil
}

// setChoices refuses choices that the field's type doesn't take.
func (f *field) setChoices(choices []string) error {
	if len(choices) > 0 && f.kind == "boolean" {
		return errors.New("a field of type boolean takes no choices")
	}
	for _, c := range choices {
		if value, errs := f.parse(c); len(errs) > 0 || fmt.Sprint(value) != c {
			return fmt.Errorf("choices: %q is not a value of type %s as it is stored", c, f.kind)
		}
	}
	f.choices = choices
	return nil
}

func (m *userModel) field(name string) *field {
	for _, f := range m.declared {
		if f.name == name {
			return f
		}
	}
	return nil
}

// idField is the account's id, for required_fields: shown, and never set.
func idField() *field {
	return &field{name: "id", kind: "integer", label: "ID", readOnly: true}
}

// value is what the API shows of an account's field.
func (f *field) value(a *Account) any {
	switch f.name {
	case "id":
		return int64(a.ID)
	case "username":
		return a.Username
	case "email":
		return a.Email
	}
	if v, ok := a.Fields[f.name]; ok {
		return f.fit(v)
	}
	return f.missing()
}

// fit is a stored value in the field's type, which may have been another when
// the value was stored. What doesn't fit counts as missing, and stays stored.
func (f *field) fit(v any) any {
	known := false
	switch v.(type) {
	case nil:
		known = f.kind == "integer" || f.kind == "date"
	case int64:
		known = f.kind == "integer"
	case bool:
		known = f.kind == "boolean"
	case string:
		known = f.kind != "integer" && f.kind != "boolean" && f.kind != "date"
	}
	if known {
		return v
	}
	plain := field{kind: f.kind, login: true}
	if v == nil {
		return f.missing()
	}
	text := fmt.Sprint(v)
	if b, ok := v.(bool); ok {
		text = map[bool]string{true: "True", false: "False"}[b]
	}
	if fitted, errs := plain.parse(text); len(errs) == 0 {
		return fitted
	}
	return f.missing()
}

// setDefaults gives a new account the defaults that there are now, so that it
// keeps them when the model changes.
func (m *userModel) setDefaults(a *Account) {
	for _, f := range m.declared {
		if f.initial != nil && !f.isSet(a) {
			f.set(a, f.initial)
		}
	}
}

// isSet tells whether an account has a value of its own in the field.
func (f *field) isSet(a *Account) bool {
	switch f.name {
	case "username":
		return a.Username != ""
	case "email":
		return a.Email != ""
	}
	_, ok := a.Fields[f.name]
	return ok
}

// missing is the value of a field of which an account has none.
func (f *field) missing() any {
	if f.initial != nil {
		return f.initial
	}
	switch f.kind {
	case "integer", "date":
		return nil
	case "boolean":
		return false
	}
	return ""
}

func (f *field) set(a *Account, v any) {
	switch f.name {
	case "username":
		a.Username, _ = v.(string)
	case "email":
		a.Email, _ = v.(string)
	default:
		if a.Fields == nil {
			a.Fields = make(map[string]any)
		}
		a.Fields[f.name] = v
	}
}

// text is a field's value as a header or a placeholder shows it.
func (f *field) text(a *Account) string {
	switch f.name { // as they are: value would allocate an interface
	case "username":
		return a.Username
	case "email":
		return a.Email
	}
	switch v := f.value(a).(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

// name is what an account logs in with.
func (m *userModel) name(a *Account) string { return m.username.text(a) }

// key is the unique key under which a value of the field is found: an address
// without regard to case or to how its domain is spelled, a username without
// regard to case where the model says so, everything else as it is.
func (f *field) key(value string) Key {
	switch {
	case f.kind == "email":
		value = strings.ToLower(normalizeEmail(value))
	case f.foldCase:
		value = foldCase(value)
	}
	return Key{Field: f.name, Value: value}
}

// keys are the unique keys of an account, those of reserved names behind its own.
func (m *userModel) keys(a *Account) ([]Key, error) {
	keys, err := m.currentKeys(a)
	if err != nil {
		return nil, err
	}
	return append(keys, m.reservedKeys(a, keys)...), nil
}

// currentKeys are the keys of what the account has. An empty value is no key,
// except for the username field, which must have one.
func (m *userModel) currentKeys(a *Account) ([]Key, error) {
	var keys []Key
	for _, f := range m.declared {
		if !f.unique {
			continue
		}
		value := f.text(a)
		if f == m.username && value == "" {
			return nil, fmt.Errorf("account %d has no %s, which is the username field: set it, or go back to the username field of before", a.ID, f.name)
		}
		if value != "" && (f == m.username || f.name != "email" || !a.Provisional) {
			keys = append(keys, f.keptKey(value, a.Keys))
		}
	}
	return keys, nil
}

// key gives the account of a change its unique keys.
func (m *userModel) key(c *Change) error {
	keys, err := m.keys(c.Account)
	if err != nil {
		return err
	}
	c.Account.Keys, c.Signature = keys, m.signature()
	return nil
}

// signature changes whenever the keys of accounts do.
func (m *userModel) signature() string {
	names := []string{"2", m.username.name}
	for _, f := range m.declared {
		if !f.unique {
			continue
		}
		name := f.name + ":" + f.kind
		if f.foldCase {
			name += ":case_insensitive"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// misfit says what the model asks of the stored accounts that they can't satisfy.
func (m *userModel) misfit(err error) error {
	if taken := new(TakenError); errors.As(err, &taken) {
		remedy := "leave 'unique' out"
		switch {
		case m.field(taken.Field).foldCase:
			remedy = "leave case_insensitive out"
		case taken.Field == m.username.name:
			remedy = "take another username_field"
		}
		err = fmt.Errorf("%s is unique, but several accounts have the same: change them, or %s", taken.Field, remedy)
	}
	return fmt.Errorf("the stored accounts don't fit user_model: %w", err)
}

// takenMessage is Django's message for a value that isn't unique.
func (m *userModel) takenMessage(name string) string {
	label := name
	if f := m.field(name); f != nil {
		label = f.label
	}
	return fmt.Sprintf("User with this %s already exists.", strings.ToUpper(label[:1])+label[1:])
}

const (
	msgRequired        = "This field is required."
	msgInvalidUsername = "Enter a valid username."
	msgInvalidEmail    = "Enter a valid email address."
	msgScripts         = "Enter a username with the letters of one script."
)

func msgTooLong(limit, n int) string {
	return fmt.Sprintf("Ensure this value has at most %d characters (it has %d).", limit, n)
}

// What a value is looked at of, in characters, where its field has no
// max_length.
const (
	maxText = 65_536 // of type text or integer
	maxWord = 1000   // of type boolean or date
)

// limit is how many characters a value may have. Nothing longer is parsed.
func (f *field) limit() int {
	switch {
	case f.maxLength > 0:
		return f.maxLength
	case f.kind == "boolean", f.kind == "date":
		return maxWord
	}
	return maxText
}

// parse turns a value from a request into the value of the field. A value that
// may be missing is the caller's to handle; see empty.
func (f *field) parse(text string) (any, []string) {
	value, errs := f.parseKind(text)
	if len(errs) == 0 && len(f.choices) > 0 && value != "" && !slices.Contains(f.choices, fmt.Sprint(value)) {
		errs = []string{fmt.Sprintf("Select a valid choice. %v is not one of the available choices.", value)}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return value, nil
}

// parseKind looks at the length first.
func (f *field) parseKind(text string) (any, []string) {
	if f.kind == "email" {
		return f.parseAddress(text)
	}
	if n, limit := characters(text), f.limit(); n > limit {
		return nil, []string{msgTooLong(limit, n)}
	}
	switch f.kind {
	case "integer":
		return parseInteger(text)
	case "boolean":
		return parseBoolean(text)
	case "date":
		return parseDate(text)
	}
	return f.parseText(text)
}

func (f *field) parseText(s string) (any, []string) {
	if f.kind == "url" && s != "" && !validURL(s) {
		return nil, []string{"Enter a valid URL."}
	}
	if f.kind != "url" && !f.login {
		return s, checkText(s)
	}
	return s, nil
}

// parseAddress checks the length of an address of more than maxAddress
// characters alone: it can't be one.
func (f *field) parseAddress(s string) (any, []string) {
	address, ok := parseEmail(s)
	if address == "" {
		return address, nil
	}
	var errs []string
	if !ok {
		errs = append(errs, msgInvalidEmail)
	}
	if n := characters(address); f.maxLength > 0 && n > f.maxLength {
		errs = append(errs, msgTooLong(f.maxLength, n))
	}
	return address, errs
}

// characters counts what Python counts: half a character, which decodeJSON
// leaves in three bytes, is one.
func characters(s string) (n int) {
	for i := range len(s) {
		if s[i]&0xC0 != 0x80 {
			n++
		}
	}
	return n
}

// checkText refuses what can't be kept and shown as it was sent, in the words
// of later versions of REST framework.
func checkText(s string) (errs []string) {
	if strings.ContainsRune(s, 0) {
		errs = append(errs, "Null characters are not allowed.")
	}
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return append(errs, fmt.Sprintf("Surrogate characters are not allowed: U+%X.", surrogateAt(s[i:])))
		}
	}
	return errs
}

// surrogateAt reads what decodeJSON wrote for a lone surrogate.
func surrogateAt(s string) rune {
	if len(s) < 3 || s[0] != 0xED {
		return utf8.RuneError
	}
	return 0xD000 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F)
}

func parseInteger(text string) (any, []string) {
	text = trimSpace(text)
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, strconv.ErrRange):
		return nil, []string{"Enter a whole number."}
	case text[0] == '-':
		return nil, []string{fmt.Sprintf("Ensure this value is greater than or equal to %d.", math.MinInt64)}
	}
	return nil, []string{fmt.Sprintf("Ensure this value is less than or equal to %d.", math.MaxInt64)}
}

func parseBoolean(text string) (any, []string) {
	switch text {
	case "true", "t", "True", "1", "on":
		return true, nil
	case "false", "f", "False", "0", "":
		return false, nil
	}
	return nil, []string{fmt.Sprintf("'%s' value must be either True or False.", text)}
}

func parseDate(text string) (any, []string) {
	t, err := time.Parse("2006-1-2", text) // as Django, which takes one digit for two
	if err != nil || t.Year() == 0 {
		return nil, []string{"Date has wrong format. Use one of these formats instead: YYYY[-MM[-DD]]"}
	}
	return t.Format("2006-01-02"), nil
}

// unlabelled is the field of a serializer that declares it by hand, which shows
// no more than its type.
func (f *field) unlabelled() *field {
	plain := *f
	plain.label = ""
	return &plain
}

// texts looks up the values of an account's fields.
func (m *userModel) texts(a *Account) func(name string) string {
	return func(name string) string { return m.field(name).text(a) }
}
