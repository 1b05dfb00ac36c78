// Package account is the domain: accounts, auth tokens, links in mails, the user model,
// limits, and the Store interface. Service is what all ways in call: endpoints, the
// admin API and commands. The package knows nothing of HTTP, Caddy or zap.
package account

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/password"
)

// Service is everything that can be done with the accounts of a realm. Requests of
// owners go through Do.
type Service struct {
	Store      Store
	Model      *Model
	Rules      Rules
	Links      Links
	Hasher     password.Argon2id
	Pool       *password.Pool
	Validators password.Validators
	Throttles  *Throttles
	Rates      *ThrottleSettings
	turns      turns    // of changes to an account
	Mails      *limiter // of requested mails; nil: no limit
	Reporter   Reporter
	WakeMail   func() // wakes the outbox after a mail was committed
	Now        func() time.Time
}

// Reporter logs and counts what happens to accounts.
type Reporter interface {
	// Report is called with every event.
	Report(e Event)

	// Hash runs work in a pool. It returns the pool's error, if any.
	Hash(ctx context.Context, pool *password.Pool, who password.Caller, work func()) error

	// Mailed counts mails that were queued, sent or failed.
	Mailed(outcome string, mails ...*Mail)
}

// Rules are the settings of a realm that the Service follows. See the settings of the
// same names.
type Rules struct {
	SendActivationEmail    bool
	LoginAfterRegistration bool
	LoginAfterActivation   bool
	LogoutOnPasswordChange bool
	ReserveUsernames       time.Duration
	SendsMails             bool          // there is a mailer
	TokenTTL               time.Duration // zero: for ever
	TokensPerUser          int
}

// TokenExpires returns when a token made now expires; zero: never.
func (r *Rules) TokenExpires(now time.Time) time.Time {
	if r.TokenTTL <= 0 {
		return time.Time{}
	}
	return now.Add(r.TokenTTL)
}

// Errors of the Service. Callers put them into words.
var (
	ErrCredentials = errors.New("wrong credentials")
	ErrDisabled    = errors.New("account is not active")
	ErrLink        = errors.New("invalid link")
	ErrPassword    = errors.New("wrong current password")
)

// Client is the sender of a request.
type Client struct {
	Address  string
	Agent    string
	Protocol string // of links in mails: http or https
	Language string // that it prefers; see Mail
	Known    bool   // has logged in to the account before
}

// caller returns the client for the queue of the hashing pool.
func (c Client) caller() password.Caller {
	return password.Caller{Network: neighbourhood(c.Address), Known: c.Known}
}

// maxAgent is the maximum length of a stored User-Agent in bytes.
const maxAgent = 200

// attempts is how often a change is tried if other requests change the account
// meanwhile.
const attempts = 20

// Register creates an account with values of the model's fields. The token is empty
// unless the account is logged in at once. Errors: *FieldError, *TakenError,
// *TooSoonError, password.ErrBusy.
func (a *Service) Register(ctx context.Context, v Values, pass string, c Client) (*Account, string, error) {
	name := a.Model.Username.Name
	username, err := a.CheckUsername(v.Text(name))
	if err != nil {
		return nil, "", err
	}
	v[name] = username
	if err := a.CheckNewPassword("password", pass, v.Text); err != nil {
		return nil, "", err
	}
	if err := a.allowPair("register", username, c); err != nil {
		return nil, "", err
	}
	acc, token, err := a.register(ctx, v, pass, c)
	if err == nil {
		a.know(acc, c)
	}
	return acc, token, err
}

func (a *Service) register(ctx context.Context, v Values, pass string, c Client) (*Account, string, error) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, "", err
	}
	acc := &Account{Password: hash, IsActive: !a.Rules.SendActivationEmail, DateJoined: a.Now()}
	for _, f := range a.Model.Declared {
		if value, ok := v[f.Name]; ok {
			f.Set(acc, value)
		}
	}
	a.Model.setDefaults(acc)
	acc.Provisional = !acc.IsActive
	change := &Change{Account: acc}
	if err := a.Model.key(change); err != nil {
		return nil, "", err
	}
	if err := a.makeWay(ctx, acc.Keys); err != nil {
		return nil, "", err
	}
	if !acc.IsActive {
		if err := a.checkFree(ctx, a.Model.Field("email"), acc.Email, acc); err != nil {
			return nil, "", err
		}
		acc.PendingEmail = acc.Email
		change.Mails = append(change.Mails, a.mail(PurposeActivation, acc, c))
	}
	var token string
	if acc.IsActive && a.Rules.LoginAfterRegistration {
		token = a.addToken(change, acc, c)
	}
	if err := a.Commit(ctx, change); err != nil {
		return nil, "", err
	}
	if !acc.IsActive {
		a.mayAsk(acc.Email, PurposeActivation) // counts this mail as a requested one
	}
	return acc, token, nil
}

// Linked returns the account of the uid in a link, or ErrNotFound.
func (a *Service) Linked(ctx context.Context, uid string) (*Account, error) {
	id, ok := decodeUID(uid)
	if !ok {
		return nil, ErrNotFound
	}
	return a.Store.Account(ctx, id)
}

// Activate uses a link: one that activates the account, confirms a new address, or
// takes back a change of address. It sets the name of the event. The token is empty
// unless the account is logged in at once. Errors: ErrLink, *TakenError, *TooSoonError.
func (a *Service) Activate(ctx context.Context, e *Event, acc *Account, link string) (*Account, string, error) {
	if err := a.allowPair("activate", EncodeUID(acc.ID), e.Client); err != nil {
		return nil, "", err
	}
	e.Account = acc
	switch {
	case a.former(acc, link) >= 0:
		e.Name = "email_taken_back"
	case acc.IsActive:
		e.Name = "email_confirmed"
	}
	acc, token, err := a.activate(ctx, acc.ID, link, e.Client)
	if err == nil {
		a.know(acc, e.Client)
	}
	return acc, token, err
}

func (a *Service) activate(ctx context.Context, id uint64, link string, c Client) (*Account, string, error) {
	var token string
	acc, err := a.useLink(ctx, id, func(acc *Account, change *Change) (takenBack bool, err error) {
		purpose := PurposeEmailChange
		if !acc.IsActive {
			purpose = PurposeActivation
		}
		// Check the links first, so that a bad one costs the same for every account.
		good, former := a.Links.check(purpose, acc, acc.PendingEmail, link), a.former(acc, link)
		if former >= 0 && acc.IsActive {
			acc.takeBack(former, change)
			return true, nil
		}
		if !good || acc.PendingEmail == "" || a.ended(acc) {
			return false, ErrLink
		}
		acc.settle()
		acc.Email, acc.PendingEmail, acc.EmailConfirmed = acc.PendingEmail, "", true
		acc.Serial++
		if a.Rules.LoginAfterActivation {
			token = a.addToken(change, acc, c)
		}
		return false, nil
	})
	if err != nil {
		return nil, "", err
	}
	return acc, token, nil
}

// useLink is Update by a link. If an address can't be taken back, because another
// account has it by now, it still ends every log-in.
func (a *Service) useLink(ctx context.Context, id uint64, use func(*Account, *Change) (takenBack bool, err error)) (*Account, error) {
	takenBack := false
	acc, err := a.Update(ctx, id, func(acc *Account, change *Change) (err error) {
		takenBack, err = use(acc, change)
		return err
	})
	if takenBack && errors.As(err, new(*TakenError)) {
		_, ended := a.RevokeAll(ctx, id)
		err = errors.Join(err, ended)
	}
	return acc, err
}

// SetUsername renames an account. Its links stay valid, unless the username is the
// address.
//
// Like SetPassword it takes the account whose password was checked: it fails if the
// password was reset or the account deactivated meanwhile. Errors: *FieldError,
// ErrPassword, *TakenError.
func (a *Service) SetUsername(ctx context.Context, checked *Account, name string, c Client) (*Account, error) {
	name, err := a.CheckUsername(name)
	if err != nil {
		return nil, err
	}
	return a.Update(ctx, checked.ID, func(acc *Account, change *Change) error {
		if !stillChecked(acc, checked) {
			return ErrPassword
		}
		before := acc.Email
		a.Model.Username.Set(acc, name)
		return a.emailChanged(ctx, acc, before, change, c)
	})
}

// emailChanged handles a new address. With send_activation_email it counts only after
// it was confirmed.
func (a *Service) emailChanged(ctx context.Context, acc *Account, before string, change *Change, c Client) error {
	if acc.Email == before {
		return nil
	}
	// An unconfirmed change leaves reset links valid: otherwise the thief of a token
	// could keep the owner from using one.
	acc.PendingEmail = ""
	if a.Rules.SendActivationEmail && acc.Email != "" {
		acc.Email, acc.PendingEmail = before, acc.Email
		if wait, ok := a.mayChange(acc); !ok {
			return &TooSoonError{wait}
		}
		change.Mails = append(change.Mails, a.mail(PurposeEmailChange, acc, c))
		a.tellFormer(acc, before, change, c)
		return a.checkFree(ctx, a.Model.Field("email"), acc.PendingEmail, acc)
	}
	acc.EmailConfirmed = false
	acc.Serial++
	a.tellFormer(acc, before, change, c)
	return nil
}

// checkFree returns a *TakenError if another account has a value of a unique field.
// It is for values that aren't keys yet.
func (a *Service) checkFree(ctx context.Context, f *ModelField, value string, acc *Account) error {
	if !f.Unique {
		return nil
	}
	for _, reserved := range []bool{false, true} {
		key := f.Key(value)
		key.Reserved = reserved
		other, err := a.Store.AccountByKey(ctx, key)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return err
		case other.ID != acc.ID:
			return &TakenError{Field: f.Name}
		}
	}
	return nil
}

// SetPassword changes a password. keep is the token of the request, which
// logout_on_password_change doesn't end. Errors: *FieldError, ErrPassword,
// password.ErrBusy.
func (a *Service) SetPassword(ctx context.Context, checked *Account, pass string, keep Digest, c Client) (*Account, error) {
	if err := a.CheckNewPassword("new_password", pass, a.Model.Texts(checked)); err != nil {
		return nil, err
	}
	c.Known = true // has a token
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, err
	}
	return a.Update(ctx, checked.ID, func(acc *Account, change *Change) error {
		if !stillChecked(acc, checked) {
			return ErrPassword
		}
		acc.Password = hash
		acc.Serial++
		change.EndTokens, change.Keep = a.Rules.LogoutOnPasswordChange, keep
		return nil
	})
}

// waitsForActivation reports whether an account is new, not deactivated.
func waitsForActivation(acc *Account) bool { return !acc.IsActive && acc.PendingEmail != "" }

// checkReset reports whether a reset link is valid. It checks the link first, so that
// a bad one costs the same for every account.
func (a *Service) checkReset(acc *Account, link string) bool {
	good, former := a.Links.check(PurposePasswordReset, acc, acc.Email, link), a.former(acc, link)
	return former >= 0 && acc.IsActive || good && a.resettable(acc)
}

// resettable reports whether the owner of an account's address may reset its password.
func (a *Service) resettable(acc *Account) bool {
	return (acc.IsActive || acc.Provisional && !a.ended(acc)) && password.Usable(acc.Password)
}

// ResetPassword uses a link to set a password, and ends every log-in of the account.
// Errors: ErrLink, *FieldError, *TooSoonError, password.ErrBusy.
func (a *Service) ResetPassword(ctx context.Context, e *Event, acc *Account, link, pass string) (*Account, error) {
	if err := a.allowPair("password_reset_confirm", EncodeUID(acc.ID), e.Client); err != nil {
		return nil, err
	}
	e.Account = acc
	// Check the link before the password: the validators' messages would tell the
	// account's fields to anybody. A bad link also costs no hash.
	if !a.checkReset(acc, link) {
		return nil, ErrLink
	}
	if err := a.CheckNewPassword("new_password", pass, a.Model.Texts(acc)); err != nil {
		return nil, err
	}
	acc, err := a.resetPassword(ctx, acc.ID, link, pass, e.Client)
	if err == nil {
		a.know(acc, e.Client)
	}
	return acc, err
}

func (a *Service) resetPassword(ctx context.Context, id uint64, link, pass string, c Client) (*Account, error) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, err
	}
	return a.useLink(ctx, id, func(acc *Account, change *Change) (takenBack bool, err error) {
		if !a.checkReset(acc, link) {
			return false, ErrLink
		}
		acc.Password = hash
		if former := a.former(acc, link); former >= 0 {
			acc.takeBack(former, change)
			return true, nil
		}
		acc.settle()
		acc.EmailConfirmed = true // the link was sent there
		acc.PendingEmail = ""     // requested with the old password or a token
		acc.Serial++
		change.EndTokens = true
		return false, nil
	})
}

// SetFields changes fields of an account. Errors: *TakenError, *TooSoonError.
func (a *Service) SetFields(ctx context.Context, id uint64, v Values, c Client) (*Account, error) {
	return a.Update(ctx, id, func(acc *Account, change *Change) error {
		before := acc.Email
		for _, f := range a.Model.Required {
			if value, ok := v[f.Name]; ok {
				f.Set(acc, value)
			}
		}
		return a.emailChanged(ctx, acc, before, change, c)
	})
}

// Update reads an account, lets change modify it and the transaction, and writes it.
// If the account was changed meanwhile, it starts again.
func (a *Service) Update(ctx context.Context, id uint64, change func(*Account, *Change) error) (*Account, error) {
	end, err := a.turns.take(ctx, id)
	if err != nil {
		return nil, err
	}
	defer end()
	for range attempts {
		acc, err := a.Store.Account(ctx, id)
		if err != nil {
			return nil, err
		}
		before := acc.clone()
		c := &Change{Account: acc}
		former := a.Model.names(acc)
		if err := change(acc, c); err != nil {
			return nil, err
		}
		if err := a.rekey(c, former); err != nil {
			return nil, err
		}
		if c.isPlain() && reflect.DeepEqual(acc, before) {
			return acc, nil
		}
		if err := a.Commit(ctx, c); !errors.Is(err, ErrConflict) {
			return acc, err
		}
	}
	return nil, ErrConflict
}

// rekey updates the unique keys of a changed account. Keys of former names become
// reserved.
func (a *Service) rekey(c *Change, former []Key) error {
	if c.Delete {
		return nil
	}
	if err := a.Model.reserve(c.Account, former); err != nil {
		return err
	}
	return a.Model.key(c)
}

func (a *Service) Commit(ctx context.Context, c *Change) error {
	if err := a.Store.Commit(ctx, c); err != nil {
		return err
	}
	if len(c.Mails) > 0 {
		a.Reporter.Mailed("queued", c.Mails...)
		a.WakeMail()
	}
	return nil
}

// addToken adds a new auth token to the change.
func (a *Service) addToken(change *Change, acc *Account, c Client) string {
	value := NewToken()
	digest, _ := DigestOf(value)
	now := a.Now()
	change.Token = &Token{
		Digest: digest, Account: acc.ID, Created: now, Expires: a.Rules.TokenExpires(now),
		Address: c.Address, Agent: CutAgent(c.Agent),
	}
	change.TokenLimit = a.Rules.TokensPerUser
	return value
}

func CutAgent(agent string) string {
	return strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], "")
}

func (a *Service) mail(p Purpose, acc *Account, c Client) *Mail {
	now := a.Now()
	return &Mail{
		Account: acc.ID, Purpose: p, Protocol: c.Protocol, Language: c.Language,
		Source: Source(c.Address), Created: now, Due: now,
	}
}

// TemplateUser returns the values of an account for mail templates. The username is
// what the account logs in with.
func (m *Model) TemplateUser(a *Account) map[string]any {
	user := map[string]any{"id": a.ID}
	for _, f := range m.Declared {
		user[f.Name] = f.Value(a)
	}
	user["username"] = m.Name(a)
	return user
}

// TemplateFields returns the fields for mail templates, with the values of an account
// that has none.
func (m *Model) TemplateFields() map[string]any {
	fields := make(map[string]any)
	for _, f := range m.Declared {
		if f.Name == "username" || f.Name == "email" {
			continue
		}
		if fields[f.Name] = f.missing(); fields[f.Name] == nil {
			fields[f.Name] = f.Typ.Traits().Zero
		}
	}
	return fields
}
