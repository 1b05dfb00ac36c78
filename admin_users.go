package djoser

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// adminUser is a user in an answer.
type adminUser struct {
	ID             uint64         `json:"id"`
	Name           string         `json:"name"` // what the user logs in with
	Fields         map[string]any `json:"fields"`
	IsActive       bool           `json:"is_active"`
	EmailConfirmed bool           `json:"email_confirmed"`
	IsStaff        bool           `json:"is_staff"`
	IsSuperuser    bool           `json:"is_superuser"`
	Groups         []string       `json:"groups"`
	DateJoined     *time.Time     `json:"date_joined"`
	LastLogin      *time.Time     `json:"last_login"`
	PendingEmail   string         `json:"pending_email,omitempty"`
	Password       string         `json:"password"` // usable or unusable

	// Reserved are names that it gave up.
	Reserved []reservedName `json:"reserved,omitempty"`
}

type reservedName struct {
	Field string `json:"field"`
	Name  string `json:"name"`
}

func (m *adminRequest) describe(acc *Account) *adminUser {
	u := &adminUser{
		ID: acc.ID, Name: m.accounts.model.name(acc), Fields: make(map[string]any),
		IsActive: acc.IsActive, EmailConfirmed: acc.EmailConfirmed, IsStaff: acc.IsStaff, IsSuperuser: acc.IsSuperuser,
		Groups: append([]string{}, acc.Groups...), DateJoined: timeOrNil(acc.DateJoined), LastLogin: timeOrNil(acc.LastLogin),
		PendingEmail: acc.PendingEmail, Password: passwordState(acc),
	}
	for _, f := range m.accounts.model.declared {
		u.Fields[f.name] = f.value(acc)
	}
	for _, k := range acc.Reserved {
		u.Reserved = append(u.Reserved, reservedName{k.Field, k.Value})
	}
	return u
}

// Pages of users.
const (
	defaultPage = 100
	maxPage     = 1000

	// maxScan is how many users one request looks at for a filter.
	maxScan = 50_000
)

// adminPage is a page of users. The next one begins after Next; zero is the
// last page. A filter that lets few through may leave a page short.
type adminPage struct {
	Users []*adminUser `json:"users"`
	Next  uint64       `json:"next,omitempty"`
}

// listUsers takes after (an id), limit, and the filters search (a part of any
// text field), group, active, staff and superuser (true or false).
func (m *adminRequest) listUsers() (any, error) {
	query := m.r.URL.Query()
	filter, err := newUserFilter(m.accounts.model, query)
	if err != nil {
		return nil, err
	}
	limit := defaultPage
	if s := query.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > maxPage {
			return nil, badRequest("limit is from 1 to %d", maxPage)
		}
	}
	var after uint64
	if s := query.Get("after"); s != "" {
		if after, err = strconv.ParseUint(s, 10, 63); err != nil {
			return nil, badRequest("after is an id")
		}
	}
	return m.page(after, limit, filter)
}

func (m *adminRequest) page(after uint64, limit int, filter *userFilter) (*adminPage, error) {
	page := &adminPage{Users: []*adminUser{}}
	for scanned := 0; scanned < maxScan; {
		found, err := m.accounts.store.Accounts(m.r.Context(), after, maxPage)
		if err != nil {
			return nil, err
		}
		for _, acc := range found {
			if len(page.Users) == limit {
				page.Next = after
				return page, nil
			}
			after = acc.ID
			if filter.lets(acc) {
				page.Users = append(page.Users, m.describe(acc))
			}
		}
		if len(found) < maxPage {
			return page, nil
		}
		scanned += len(found)
	}
	page.Next = after
	return page, nil
}

// userFilter is what a listing is restricted to.
type userFilter struct {
	model  *userModel
	search string
	group  string
	flags  map[string]bool
}

func newUserFilter(model *userModel, query url.Values) (*userFilter, error) {
	f := &userFilter{model: model, search: strings.ToLower(query.Get("search")), group: query.Get("group"), flags: make(map[string]bool)}
	for name, values := range query {
		switch name {
		case "after", "limit", "search", "group":
		case "active", "staff", "superuser":
			on, err := strconv.ParseBool(values[0])
			if err != nil {
				return nil, badRequest("%s is true or false", name)
			}
			f.flags[name] = on
		default:
			return nil, badRequest("unknown parameter %s: use after, limit, search, group, active, staff or superuser", name)
		}
	}
	return f, nil
}

func (f *userFilter) lets(acc *Account) bool {
	for name, want := range f.flags {
		has := map[string]bool{"active": acc.IsActive, "staff": acc.IsStaff, "superuser": acc.IsSuperuser}[name]
		if has != want {
			return false
		}
	}
	if f.group != "" && !slices.Contains(acc.Groups, f.group) {
		return false
	}
	return f.search == "" || slices.ContainsFunc(f.model.declared, func(d *field) bool {
		text, ok := d.value(acc).(string)
		return ok && strings.Contains(strings.ToLower(text), f.search)
	})
}

func (m *adminRequest) showUser() (any, error) { return m.describe(m.user), nil }

// adminEdit is the body of a new user, or of a change of one.
type adminEdit struct {
	Name           *string                    `json:"name"` // what the user logs in with
	Fields         map[string]json.RawMessage `json:"fields"`
	Password       *string                    `json:"password"`        // of a new user; left out: unusable
	IsActive       *bool                      `json:"is_active"`       // of a new user
	EmailConfirmed *bool                      `json:"email_confirmed"` // left out: an address that is given counts as confirmed
	IsStaff        *bool                      `json:"is_staff"`
	IsSuperuser    *bool                      `json:"is_superuser"`
	Groups         []string                   `json:"groups"` // all of them
	AddGroups      []string                   `json:"add_groups"`
	RemoveGroups   []string                   `json:"remove_groups"`
}

// read checks an edit.
func (m *adminRequest) read(e *adminEdit) (*accountEdit, error) {
	if err := e.checkGroups(); err != nil {
		return nil, err
	}
	fields, err := m.readFields(e)
	if err != nil {
		return nil, err
	}
	return &accountEdit{
		active: e.IsActive, confirmed: e.EmailConfirmed, staff: e.IsStaff, superuser: e.IsSuperuser,
		groups: e.Groups, addGroups: e.AddGroups, dropGroups: e.RemoveGroups, fields: fields,
	}, nil
}

func (e *adminEdit) checkGroups() error {
	for _, name := range slices.Concat(e.Groups, e.AddGroups) {
		if len(name) > maxGroup || unsafeGroup(name) {
			return badRequest("group %q: a name has 1 to %d bytes, no comma, line break or white space around it, and is not staff or superuser", name, maxGroup)
		}
	}
	if len(e.Groups) > maxGroups || len(e.AddGroups) > maxGroups {
		return badRequest("more than %d groups", maxGroups)
	}
	return nil
}

// readFields checks the fields of the user model, and the name among them.
func (m *adminRequest) readFields(e *adminEdit) (values, error) {
	username := m.accounts.model.username.name
	fields := maps.Clone(e.Fields)
	if e.Name != nil {
		if fields == nil {
			fields = make(map[string]json.RawMessage)
		}
		fields[username], _ = json.Marshal(*e.Name) // a string can't fail
	}
	checked, err := m.parseFields(fields)
	if err != nil {
		return nil, err
	}
	if name, ok := checked[username].(string); ok {
		if checked[username], err = m.accounts.checkUsername(name); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

func (m *adminRequest) parseFields(fields map[string]json.RawMessage) (values, error) {
	parsed, errs := make(values), make(fieldErrors)
	for name, raw := range fields {
		f := m.accounts.model.field(name)
		if f == nil {
			errs.add(name, "There is no such field.")
			continue
		}
		decoded, err := decodeJSON(raw)
		if err != nil {
			return nil, badRequest("%s: %v", name, err)
		}
		in := input{name: name, field: f, required: !f.blank}
		value, messages := in.parse(decoded)
		errs.add(name, messages...)
		parsed[name] = value
	}
	return parsed, errs.err()
}

func (m *adminRequest) addUser() (any, error) {
	var e adminEdit
	if err := m.body(&e); err != nil {
		return nil, err
	}
	edit, err := m.read(&e)
	if err != nil {
		return nil, err
	}
	if name := m.accounts.model.username.name; edit.fields.text(name) == "" {
		return nil, invalid(name, msgRequired)
	}
	pass := ""
	if e.Password != nil {
		pass = *e.Password
		texts := func(name string) string { return edit.fields.text(name) }
		if err := m.checkPassword(pass, texts); err != nil {
			return nil, err
		}
	}
	acc, err := m.accounts.create(m.r.Context(), edit, pass)
	m.record(acc, err)
	if err != nil {
		return nil, err
	}
	return m.describe(acc), nil
}

func (m *adminRequest) checkPassword(pass string, texts func(string) string) error {
	if pass == "" {
		return badRequest("the password is empty")
	}
	if limit := m.realm.maxPassword; len([]rune(pass)) > limit {
		return badRequest("the password has more than %d characters", limit)
	}
	return m.accounts.checkNewPassword("password", pass, texts)
}

func (m *adminRequest) editUser() (any, error) {
	var e adminEdit
	if err := m.body(&e); err != nil {
		return nil, err
	}
	if e.Password != nil || e.IsActive != nil {
		return nil, badRequest("password and activity have requests of their own: password, activate and deactivate")
	}
	edit, err := m.read(&e)
	if err != nil {
		return nil, err
	}
	return m.done(m.accounts.edit(m.r.Context(), m.user.ID, edit))
}

// done answers with the user as it is now.
func (m *adminRequest) done(acc *Account, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return m.describe(acc), nil
}

func (m *adminRequest) deleteUser() (any, error) {
	return m.done(m.accounts.remove(m.r.Context(), m.user.ID))
}

// freeName frees a name that an account gave up, or that a deleted account had.
func (m *adminRequest) freeName() (any, error) {
	var name reservedName
	if err := m.body(&name); err != nil {
		return nil, err
	}
	name.Field = cmp.Or(name.Field, m.accounts.model.username.name)
	acc, err := m.accounts.freeName(m.r.Context(), name.Field, name.Name)
	if errors.Is(err, ErrNotFound) {
		return nil, adminNotFound(fmt.Sprintf("the %s %q is not reserved", name.Field, name.Name))
	}
	m.record(acc, err)
	if err != nil {
		return nil, err
	}
	return &name, nil
}

func (m *adminRequest) setPassword() (any, error) {
	var body struct {
		Password string `json:"password"`
		Unusable bool   `json:"unusable"`
	}
	if err := m.body(&body); err != nil {
		return nil, err
	}
	if body.Unusable {
		if body.Password != "" {
			return nil, badRequest("a password, or unusable, but not both")
		}
		return m.done(m.accounts.givePassword(m.r.Context(), m.user.ID, ""))
	}
	if err := m.checkPassword(body.Password, m.accounts.model.texts(m.user)); err != nil {
		return nil, err
	}
	return m.done(m.accounts.givePassword(m.r.Context(), m.user.ID, body.Password))
}

func (m *adminRequest) activate() (any, error) {
	return m.done(m.accounts.enable(m.r.Context(), m.user.ID))
}

func (m *adminRequest) confirmEmail() (any, error) {
	return m.done(m.accounts.confirmEmail(m.r.Context(), m.user.ID))
}

func (m *adminRequest) deactivate() (any, error) {
	return m.done(m.accounts.disable(m.r.Context(), m.user.ID))
}

func (m *adminRequest) sendActivation() (any, error) {
	if !m.realm.sendsActivations {
		return nil, &adminError{http.StatusConflict, "send_activation_email is off in this realm: activate the user instead", nil}
	}
	return m.done(m.accounts.sendActivation(m.r.Context(), m.user.ID, m.client()))
}

func (m *adminRequest) sendReset() (any, error) {
	if !m.realm.sendsResets {
		return nil, &adminError{http.StatusConflict, "password_reset is disabled in this realm: set a password instead", nil}
	}
	return m.done(m.accounts.sendReset(m.r.Context(), m.user.ID, m.client()))
}

// client stands in for the request that a mail otherwise comes from; links
// have the scheme that the settings say.
func (m *adminRequest) client() client { return client{protocol: "https"} }

// adminToken is a login in an answer. Its id tells nothing about its value.
type adminToken struct {
	ID      string     `json:"id"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires"`
	Used    *time.Time `json:"used"` // to the hour
	Address string     `json:"address"`
	Agent   string     `json:"agent"`
}

func (m *adminRequest) listTokens() (any, error) {
	tokens, err := m.accounts.store.Tokens(m.r.Context(), m.user.ID)
	if err != nil {
		return nil, err
	}
	list := make([]*adminToken, len(tokens))
	for i, t := range tokens {
		list[i] = &adminToken{t.Digest.ID(), t.Created, timeOrNil(t.Expires), timeOrNil(t.Used), t.Address, t.Agent}
	}
	return map[string]any{"tokens": list}, nil
}

func (m *adminRequest) revokeTokens() (any, error) {
	return m.done(m.accounts.revokeAll(m.r.Context(), m.user.ID))
}

func (m *adminRequest) revokeToken() (any, error) {
	err := m.accounts.revoke(m.r.Context(), m.user.ID, m.path[3])
	if errors.Is(err, ErrNotFound) {
		err = adminNotFound("the user has no such token")
	}
	return m.done(m.user, err)
}
