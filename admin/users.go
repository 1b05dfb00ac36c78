package admin

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

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

// userView is the JSON of a user.
type userView struct {
	ID             uint64         `json:"id"`
	Name           string         `json:"name"` // what the user logs in with
	Fields         map[string]any `json:"fields"`
	IsActive       bool           `json:"is_active"`
	Waiting        bool           `json:"waiting,omitempty"` // for approval
	EmailConfirmed bool           `json:"email_confirmed"`
	IsStaff        bool           `json:"is_staff"`
	IsSuperuser    bool           `json:"is_superuser"`
	Groups         []string       `json:"groups"`
	DateJoined     *time.Time     `json:"date_joined"`
	LastLogin      *time.Time     `json:"last_login"`
	Language       string         `json:"language,omitempty"` // of the last log-in's browser
	PendingEmail   string         `json:"pending_email,omitempty"`
	Password       string         `json:"password"` // usable or unusable
	MFA            bool           `json:"mfa"`      // has a second factor

	Factor     *serializers.FactorStatus `json:"factor,omitempty"` // without a second factor: none
	Passkeys   []serializers.Passkey     `json:"passkeys,omitempty"`
	Identities []serializers.Identity    `json:"identities,omitempty"` // who may log in with providers

	// Reserved are names that the user gave up.
	Reserved []reservedName `json:"reserved,omitempty"`
}

type reservedName struct {
	Field string `json:"field"`
	Name  string `json:"name"`
}

func (m *request) describe(acc *model.Account) *userView {
	u := &userView{
		ID: acc.ID, Name: m.accounts.Model.Name(acc), Fields: make(map[string]any),
		IsActive: acc.IsActive, Waiting: acc.Waiting, EmailConfirmed: acc.EmailConfirmed, IsStaff: acc.IsStaff, IsSuperuser: acc.IsSuperuser,
		Groups: append([]string{}, acc.Groups...), DateJoined: drf.TimeOrNil(acc.DateJoined), LastLogin: drf.TimeOrNil(acc.LastLogin), Language: acc.Language,
		PendingEmail: acc.PendingEmail, Password: account.PasswordState(acc), MFA: m.accounts.Rules.NeedsFactor(acc),
	}
	for _, f := range m.accounts.Model.Declared {
		u.Fields[f.Name] = f.Value(acc)
	}
	if acc.Factor.IsActive() {
		status := serializers.RepresentFactor(acc.Factor)
		u.Factor = &status
	}
	u.Passkeys = serializers.RepresentPasskeys(acc)
	for _, i := range acc.Identities {
		u.Identities = append(u.Identities, serializers.RepresentIdentity(i))
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

	// maxScan is how many users a request with a filter reads at most.
	maxScan = 50_000
)

// userPage is a page of users. The next page is after the id Next; zero means there is
// none. With a filter, a page may be short.
type userPage struct {
	Users []*userView `json:"users"`
	Next  uint64      `json:"next,omitempty"`
}

// listUsers takes after (an id), limit, and the filters search (a part of any
// text field), group, active, waiting, staff and superuser (true or false).
func (m *request) listUsers() (any, error) {
	query := m.r.URL.Query()
	filter, err := newUserFilter(m.accounts.Model, query)
	if err != nil {
		return nil, err
	}
	limit := defaultPage
	if s := query.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > maxPage {
			return nil, badRequest("limit must be from 1 to %d", maxPage)
		}
	}
	var after uint64
	if s := query.Get("after"); s != "" {
		if after, err = strconv.ParseUint(s, 10, 63); err != nil {
			return nil, badRequest("after must be an id")
		}
	}
	return m.page(after, limit, filter)
}

func (m *request) page(after uint64, limit int, filter *userFilter) (*userPage, error) {
	page := &userPage{Users: []*userView{}}
	for scanned := 0; scanned < maxScan; {
		found, err := m.accounts.Store.Accounts(m.r.Context(), after, maxPage)
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

// userFilter are the conditions of a list of users.
type userFilter struct {
	model  *model.Model
	search string
	group  string
	flags  map[string]bool
}

func newUserFilter(m *model.Model, query url.Values) (*userFilter, error) {
	f := &userFilter{model: m, search: strings.ToLower(query.Get("search")), group: query.Get("group"), flags: make(map[string]bool)}
	for name, values := range query {
		switch name {
		case "after", "limit", "search", "group":
		case "active", "waiting", "staff", "superuser":
			on, err := strconv.ParseBool(values[0])
			if err != nil {
				return nil, badRequest("%s must be true or false", name)
			}
			f.flags[name] = on
		default:
			return nil, badRequest("unknown parameter %s: use after, limit, search, group, active, waiting, staff or superuser", name)
		}
	}
	return f, nil
}

func (f *userFilter) lets(acc *model.Account) bool {
	for name, want := range f.flags {
		has := map[string]bool{"active": acc.IsActive, "waiting": acc.Waiting, "staff": acc.IsStaff, "superuser": acc.IsSuperuser}[name]
		if has != want {
			return false
		}
	}
	if f.group != "" && !slices.Contains(acc.Groups, f.group) {
		return false
	}
	return f.search == "" || slices.ContainsFunc(f.model.Declared, func(d *model.Field) bool {
		text, ok := d.Value(acc).(string)
		return ok && strings.Contains(strings.ToLower(text), f.search)
	})
}

func (m *request) showUser() (any, error) { return m.describe(m.user), nil }

// editBody is the body of a request that adds or changes a user.
type editBody struct {
	Name           *string                    `json:"name"` // what the user logs in with
	Fields         map[string]json.RawMessage `json:"fields"`
	Password       *string                    `json:"password"`        // of a new user; missing: unusable
	IsActive       *bool                      `json:"is_active"`       // of a new user
	EmailConfirmed *bool                      `json:"email_confirmed"` // missing: a new address counts as confirmed
	IsStaff        *bool                      `json:"is_staff"`
	IsSuperuser    *bool                      `json:"is_superuser"`
	Groups         []string                   `json:"groups"` // all of them
	AddGroups      []string                   `json:"add_groups"`
	RemoveGroups   []string                   `json:"remove_groups"`
}

// read checks an edit.
func (m *request) read(e *editBody) (*account.Patch, error) {
	if err := e.checkGroups(); err != nil {
		return nil, err
	}
	fields, err := m.readFields(e)
	if err != nil {
		return nil, err
	}
	return &account.Patch{
		Active: e.IsActive, Confirmed: e.EmailConfirmed, Staff: e.IsStaff, Superuser: e.IsSuperuser,
		Groups: e.Groups, AddGroups: e.AddGroups, DropGroups: e.RemoveGroups, Fields: fields,
	}, nil
}

func (e *editBody) checkGroups() error {
	for _, name := range slices.Concat(e.Groups, e.AddGroups) {
		if len(name) > model.MaxGroup || model.UnsafeGroup(name) {
			return badRequest("group %q: a name has 1 to %d bytes without commas, line breaks, or white space around it, and is not staff or superuser", name, model.MaxGroup)
		}
	}
	if len(e.Groups) > model.MaxGroups || len(e.AddGroups) > model.MaxGroups {
		return badRequest("too many groups: at most %d", model.MaxGroups)
	}
	return nil
}

// readFields checks the fields of the user model, including the name.
func (m *request) readFields(e *editBody) (model.Values, error) {
	username := m.accounts.Model.Username.Name
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
		if checked[username], err = m.accounts.Model.CheckUsername(name); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

func (m *request) parseFields(fields map[string]json.RawMessage) (model.Values, error) {
	parsed, errs := make(model.Values), make(drf.FieldErrors)
	for name, raw := range fields {
		f := m.accounts.Model.Field(name)
		if f == nil {
			errs.Add(name, "There is no such field.")
			continue
		}
		decoded, err := drf.DecodeJSON(raw)
		if err != nil {
			return nil, badRequest("%s: %v", name, err)
		}
		in := drf.Input{Name: name, Field: f, Required: !f.Blank}
		value, messages := in.Parse(decoded)
		errs.Add(name, messages...)
		parsed[name] = value
	}
	return parsed, errs.Err()
}

func (m *request) addUser() (any, error) {
	var e editBody
	if err := m.body(&e); err != nil {
		return nil, err
	}
	edit, err := m.read(&e)
	if err != nil {
		return nil, err
	}
	if name := m.accounts.Model.Username.Name; edit.Fields.Text(name) == "" {
		return nil, drf.Invalid(name, fieldtype.MsgRequired)
	}
	pass := ""
	if e.Password != nil {
		pass = *e.Password
		texts := func(name string) string { return edit.Fields.Text(name) }
		if err := m.checkPassword(pass, texts); err != nil {
			return nil, err
		}
	}
	acc, err := m.accounts.Create(m.r.Context(), edit, pass)
	m.record(acc, err)
	if err != nil {
		return nil, err
	}
	return m.describe(acc), nil
}

func (m *request) checkPassword(pass string, texts func(string) string) error {
	if pass == "" {
		return badRequest("the password is empty")
	}
	if limit := m.realm.MaxPassword; len([]rune(pass)) > limit {
		return badRequest("the password has more than %d characters", limit)
	}
	return m.accounts.CheckNewPassword("password", pass, texts)
}

func (m *request) editUser() (any, error) {
	var e editBody
	if err := m.body(&e); err != nil {
		return nil, err
	}
	if e.Password != nil || e.IsActive != nil {
		return nil, badRequest("to change a password or activity, use password, activate and deactivate")
	}
	edit, err := m.read(&e)
	if err != nil {
		return nil, err
	}
	return m.done(m.accounts.Patch(m.r.Context(), m.user.ID, edit))
}

// done answers with the changed user.
func (m *request) done(acc *model.Account, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return m.describe(acc), nil
}

func (m *request) deleteUser() (any, error) {
	return m.done(m.accounts.Remove(m.r.Context(), m.user.ID))
}

// freeName frees a name that is reserved for an account, or for a deleted one.
func (m *request) freeName() (any, error) {
	var name reservedName
	if err := m.body(&name); err != nil {
		return nil, err
	}
	name.Field = cmp.Or(name.Field, m.accounts.Model.Username.Name)
	acc, err := m.accounts.FreeName(m.r.Context(), name.Field, name.Name)
	if errors.Is(err, model.ErrNotFound) {
		return nil, NotFound(fmt.Sprintf("the %s %q is not reserved", name.Field, name.Name))
	}
	m.record(acc, err)
	if err != nil {
		return nil, err
	}
	return &name, nil
}

func (m *request) setPassword() (any, error) {
	var body struct {
		Password string `json:"password"`
		Unusable bool   `json:"unusable"`
	}
	if err := m.body(&body); err != nil {
		return nil, err
	}
	if body.Unusable {
		if body.Password != "" {
			return nil, badRequest("use password or unusable, not both")
		}
		return m.done(m.accounts.GivePassword(m.r.Context(), m.user.ID, ""))
	}
	if err := m.checkPassword(body.Password, m.accounts.Model.Texts(m.user)); err != nil {
		return nil, err
	}
	return m.done(m.accounts.GivePassword(m.r.Context(), m.user.ID, body.Password))
}

func (m *request) activate() (any, error) {
	return m.done(m.accounts.Enable(m.r.Context(), m.user.ID))
}

func (m *request) confirmEmail() (any, error) {
	return m.done(m.accounts.ConfirmEmail(m.r.Context(), m.user.ID))
}

func (m *request) resetMFA() (any, error) {
	acc, err := m.accounts.ResetFactor(m.r.Context(), m.user.ID)
	if errors.Is(err, account.ErrNoFactor) {
		return nil, &apiError{http.StatusConflict, "the user has no second factor and no passkey", nil}
	}
	return m.done(acc, err)
}

func (m *request) deactivate() (any, error) {
	return m.done(m.accounts.Disable(m.r.Context(), m.user.ID))
}

func (m *request) sendActivation() (any, error) {
	if !m.realm.SendsActivations {
		return nil, &apiError{http.StatusConflict, "send_activation_email is off in this realm: activate the user instead", nil}
	}
	return m.done(m.accounts.SendActivation(m.r.Context(), m.user.ID, m.client()))
}

func (m *request) sendReset() (any, error) {
	if !m.realm.SendsResets {
		return nil, &apiError{http.StatusConflict, "password_reset is disabled in this realm: set a password instead", nil}
	}
	return m.done(m.accounts.SendReset(m.r.Context(), m.user.ID, m.client()))
}

// client stands for the request that usually causes a mail. It asks for no scheme of links.
func (m *request) client() account.Client { return account.Client{} }
