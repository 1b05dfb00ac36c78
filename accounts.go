package djoser

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/password"
)

// accounts is what the accounts of a realm can do. It knows nothing of HTTP or
// Caddy: requests, commands and the admin API all come through here.
type accounts struct {
	store      Store
	model      *userModel
	rules      Rules
	links      links
	hasher     password.Argon2id
	pool       *password.Pool
	validators password.Validators
	throttles  *throttles
	rates      *ThrottleSettings
	turns      turns    // of those who change an account
	mails      *limiter // of mails that somebody asks for; nil: no limit
	reporter   Reporter
	wakeMail   func() // tells the outbox that a mail was committed
	now        func() time.Time
}

// Reporter counts what accounts do.
type Reporter interface {
	// Hash has a pool do the work of a hash.
	Hash(ctx context.Context, pool *password.Pool, who password.Caller, work func()) error

	// Mailed counts mails that were queued, sent or failed.
	Mailed(outcome string, mails ...*Mail)
}

// Rules are what a realm's settings decide about its accounts. The settings of
// the same names say what they mean.
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

// tokenExpires is when a token that is made now expires; zero: never.
func (r *Rules) tokenExpires(now time.Time) time.Time {
	if r.TokenTTL <= 0 {
		return time.Time{}
	}
	return now.Add(r.TokenTTL)
}

// Errors of accounts, for the caller to put into words.
var (
	errCredentials = errors.New("wrong credentials")
	errDisabled    = errors.New("account is not active")
	errLink        = errors.New("invalid link")
	errPassword    = errors.New("wrong current password")
)

// client is where a request came from.
type client struct {
	address  string
	agent    string
	protocol string // of links in mails to it: http or https
	language string // that it asks for; see Mail
	known    bool   // it has logged in to the account before
}

// caller is whom the queue for hashing knows the client as.
func (c client) caller() password.Caller {
	return password.Caller{Network: neighbourhood(c.address), Known: c.known}
}

// maxAgent bounds what is kept of a User-Agent, in bytes.
const maxAgent = 200

// attempts bounds how often a change is tried again because another request
// changed the account in between.
const attempts = 20

// register makes an account of the values of the model's fields. The token is
// empty unless the account is logged in at once.
func (a *accounts) register(ctx context.Context, v values, pass string, c client) (*Account, string, error) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, "", err
	}
	acc := &Account{Password: hash, IsActive: !a.rules.SendActivationEmail, DateJoined: a.now()}
	for _, f := range a.model.declared {
		if value, ok := v[f.name]; ok {
			f.set(acc, value)
		}
	}
	a.model.setDefaults(acc)
	acc.Provisional = !acc.IsActive
	change := &Change{Account: acc}
	if err := a.model.key(change); err != nil {
		return nil, "", err
	}
	if err := a.makeWay(ctx, acc.Keys); err != nil {
		return nil, "", err
	}
	if !acc.IsActive {
		if err := a.checkFree(ctx, a.model.field("email"), acc.Email, acc); err != nil {
			return nil, "", err
		}
		acc.PendingEmail = acc.Email
		change.Mails = append(change.Mails, a.mail(PurposeActivation, acc, c))
	}
	var token string
	if acc.IsActive && a.rules.LoginAfterRegistration {
		token = a.addToken(change, acc, c)
	}
	if err := a.commit(ctx, change); err != nil {
		return nil, "", err
	}
	if !acc.IsActive {
		a.mayAsk(acc.Email, PurposeActivation) // so that this mail counts among those asked for
	}
	return acc, token, nil
}

// login is the one way to an auth token by name and password. It counts the
// attempt, checks the password, forgives what was counted if it was right, and
// commits the token. An unknown name costs what a known one does. The account is
// returned with an error too, if there is one.
func (a *accounts) login(ctx context.Context, name, pass string, c client) (*Account, string, error) {
	key := a.model.username.key(a.model.normalize(name))
	c.known = a.throttles.known.has(knownKey(key.Value, c))
	try, err := a.tryLogin(ctx, key.Value, c)
	if err != nil {
		return nil, "", err
	}
	acc, token, err := a.logIn(ctx, key, pass, c)
	switch {
	case err == nil:
		a.know(acc, c)
		try.right()
	case errors.Is(err, errDisabled):
		try.right()
	case !errors.Is(err, errCredentials):
		try.untried()
	}
	return acc, token, err
}

// logIn checks a password, and makes an auth token.
func (a *accounts) logIn(ctx context.Context, key Key, pass string, c client) (*Account, string, error) {
	acc, err := a.store.AccountByKey(ctx, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, "", err
	}
	ok, weak, took, err := a.verify(ctx, c.caller(), acc, pass)
	switch {
	case err != nil:
		return acc, "", err
	case !ok:
		a.throttles.pace.even(ctx, took)
		return acc, "", errCredentials
	case !acc.IsActive:
		return acc, "", errDisabled
	}
	change := &Change{Serial: acc.Serial}
	token := a.addToken(change, acc, c)
	if err := a.commitLogin(ctx, change, acc); err != nil {
		return acc, "", err
	}
	if weak {
		a.upgrade(ctx, acc, pass, c)
	}
	return acc, token, nil
}

// checkPassword checks the current password of an account for an endpoint, and
// counts the attempt. It returns the account whose password was checked.
// errPassword: it is wrong.
func (a *accounts) checkPassword(ctx context.Context, endpoint string, id uint64, pass string, c client) (*Account, error) {
	acc, err := a.store.Account(ctx, id)
	if err != nil {
		return nil, err
	}
	try, err := a.tryCurrent(endpoint, acc)
	if err != nil {
		return nil, err
	}
	ok, _, _, err := a.verify(ctx, c.caller(), acc, pass)
	switch {
	case err != nil:
		try.untried()
		return nil, err
	case !ok:
		return nil, errPassword
	}
	try.right()
	return acc, nil
}

// commitLogin adds a token, unless the password or the activity of the account
// changed while they were checked.
func (a *accounts) commitLogin(ctx context.Context, change *Change, checked *Account) error {
	for range attempts {
		err := a.commit(ctx, change)
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			return err
		}
		acc, err := a.store.Account(ctx, checked.ID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err != nil || !stillChecked(acc, checked) {
			return errCredentials
		}
		change.Serial = acc.Serial // something else changed, such as the address
	}
	return ErrConflict
}

// stillChecked tells whether what a password opened is still open to it.
func stillChecked(acc, checked *Account) bool {
	return acc.IsActive && acc.Password == checked.Password
}

// upgrade rewrites a hash that is weaker than the settings ask for. That it
// couldn't be done is no reason to refuse the login: the next one tries again.
func (a *accounts) upgrade(ctx context.Context, acc *Account, pass string, c client) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return
	}
	old := acc.Password
	_, _ = a.update(ctx, acc.ID, func(stored *Account, _ *Change) error {
		if stored.Password != old {
			return errCredentials
		}
		stored.Password = hash
		return nil
	})
}

// logout ends one token.
func (a *accounts) logout(ctx context.Context, digest Digest) error {
	err := a.commit(ctx, &Change{EndToken: &digest})
	if errors.Is(err, ErrNotFound) {
		return nil // another request ended it
	}
	return err
}

// activate uses an activation link up, or one that confirms a new address.
func (a *accounts) activate(ctx context.Context, id uint64, link string, c client) (*Account, string, error) {
	var token string
	takenBack := false
	acc, err := a.update(ctx, id, func(acc *Account, change *Change) error {
		purpose := PurposeEmailChange
		if !acc.IsActive {
			purpose = PurposeActivation
		}
		// The links first, so that a bad one costs the same for every account.
		good, former := a.links.check(purpose, acc, acc.PendingEmail, link), a.former(acc, link)
		if takenBack = former >= 0 && acc.IsActive; takenBack {
			acc.takeBack(former, change)
			return nil
		}
		if !good || acc.PendingEmail == "" || a.ended(acc) {
			return errLink
		}
		acc.settle()
		acc.Email, acc.PendingEmail, acc.EmailConfirmed = acc.PendingEmail, "", true
		acc.Serial++
		if a.rules.LoginAfterActivation {
			token = a.addToken(change, acc, c)
		}
		return nil
	})
	if takenBack {
		err = a.endAnyway(ctx, id, err)
	}
	if err != nil {
		return nil, "", err
	}
	return acc, token, nil
}

// setUsername renames an account. Its links stay good, unless the username is
// the address.
//
// Like setPassword it takes the account whose password was checked: a reset
// meanwhile, or a deactivation, must win.
func (a *accounts) setUsername(ctx context.Context, checked *Account, name string, c client) (*Account, error) {
	return a.update(ctx, checked.ID, func(acc *Account, change *Change) error {
		if !stillChecked(acc, checked) {
			return errPassword
		}
		before := acc.Email
		a.model.username.set(acc, name)
		return a.emailChanged(ctx, acc, before, change, c)
	})
}

// emailChanged does what a new address asks for. Where activation mails are
// sent, it counts only once it is confirmed.
func (a *accounts) emailChanged(ctx context.Context, acc *Account, before string, change *Change, c client) error {
	if acc.Email == before {
		return nil
	}
	// A change that is only asked for leaves reset links good: else whoever has a
	// stolen token could keep the owner from using one.
	acc.PendingEmail = ""
	if a.rules.SendActivationEmail && acc.Email != "" {
		acc.Email, acc.PendingEmail = before, acc.Email
		if wait, ok := a.mayChange(acc); !ok {
			return &tooSoonError{wait}
		}
		change.Mails = append(change.Mails, a.mail(PurposeEmailChange, acc, c))
		a.tellFormer(acc, before, change, c)
		return a.checkFree(ctx, a.model.field("email"), acc.PendingEmail, acc)
	}
	acc.EmailConfirmed = false
	acc.Serial++
	a.tellFormer(acc, before, change, c)
	return nil
}

// checkFree refuses a value of a unique field that another account has, where
// the store doesn't do so yet.
func (a *accounts) checkFree(ctx context.Context, f *field, value string, acc *Account) error {
	if !f.unique {
		return nil
	}
	for _, reserved := range []bool{false, true} {
		key := f.key(value)
		key.Reserved = reserved
		other, err := a.store.AccountByKey(ctx, key)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return err
		case other.ID != acc.ID:
			return &TakenError{Field: f.name}
		}
	}
	return nil
}

// setPassword changes a password. keep is the token of the request, which
// stays where logout_on_password_change ends the others.
func (a *accounts) setPassword(ctx context.Context, checked *Account, pass string, keep Digest, c client) (*Account, error) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, err
	}
	return a.update(ctx, checked.ID, func(acc *Account, change *Change) error {
		if !stillChecked(acc, checked) {
			return errPassword
		}
		acc.Password = hash
		acc.Serial++
		change.EndTokens, change.Keep = a.rules.LogoutOnPasswordChange, keep
		return nil
	})
}

// waitsForActivation tells a new account from one that was deactivated, which
// has no address to confirm.
func waitsForActivation(acc *Account) bool { return !acc.IsActive && acc.PendingEmail != "" }

// checkReset tells whether a reset link is good. The link comes first, so that
// a bad one costs the same for every account.
func (a *accounts) checkReset(acc *Account, link string) bool {
	good, former := a.links.check(PurposePasswordReset, acc, acc.Email, link), a.former(acc, link)
	return former >= 0 && acc.IsActive || good && a.resettable(acc)
}

// resettable tells whether the owner of an account's address may set its password
// anew.
func (a *accounts) resettable(acc *Account) bool {
	return (acc.IsActive || acc.Provisional && !a.ended(acc)) && password.Usable(acc.Password)
}

// resetPassword uses a reset link up. It ends every token of the account.
func (a *accounts) resetPassword(ctx context.Context, id uint64, link, pass string, c client) (*Account, error) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return nil, err
	}
	takenBack := false
	acc, err := a.update(ctx, id, func(acc *Account, change *Change) error {
		if !a.checkReset(acc, link) {
			return errLink
		}
		acc.Password = hash
		former := a.former(acc, link)
		if takenBack = former >= 0; takenBack {
			acc.takeBack(former, change)
			return nil
		}
		acc.settle()
		acc.EmailConfirmed = true // the link was sent there
		acc.PendingEmail = ""     // whoever asked for it had the old password, or a token
		acc.Serial++
		change.EndTokens = true
		return nil
	})
	if takenBack {
		err = a.endAnyway(ctx, id, err)
	}
	return acc, err
}

// setFields changes fields of an account.
func (a *accounts) setFields(ctx context.Context, id uint64, v values, c client) (*Account, error) {
	return a.update(ctx, id, func(acc *Account, change *Change) error {
		before := acc.Email
		for _, f := range a.model.required {
			if value, ok := v[f.name]; ok {
				f.set(acc, value)
			}
		}
		return a.emailChanged(ctx, acc, before, change, c)
	})
}

// update reads an account, lets change alter it and what else belongs to the
// transaction, and writes it. It starts again if the account was changed
// meanwhile, so that change is applied to what is stored.
func (a *accounts) update(ctx context.Context, id uint64, change func(*Account, *Change) error) (*Account, error) {
	end, err := a.turns.take(ctx, id)
	if err != nil {
		return nil, err
	}
	defer end()
	for range attempts {
		acc, err := a.store.Account(ctx, id)
		if err != nil {
			return nil, err
		}
		before := acc.clone()
		c := &Change{Account: acc}
		former := a.model.names(acc)
		if err := change(acc, c); err != nil {
			return nil, err
		}
		if err := a.rekey(c, former); err != nil {
			return nil, err
		}
		if c.isPlain() && reflect.DeepEqual(acc, before) {
			return acc, nil
		}
		if err := a.commit(ctx, c); !errors.Is(err, ErrConflict) {
			return acc, err
		}
	}
	return nil, ErrConflict
}

// rekey gives a changed account its unique keys; those of former names that it
// has no more become reserved.
func (a *accounts) rekey(c *Change, former []Key) error {
	if c.Delete {
		return nil
	}
	if err := a.model.reserve(c.Account, former); err != nil {
		return err
	}
	return a.model.key(c)
}

func (a *accounts) commit(ctx context.Context, c *Change) error {
	if err := a.store.Commit(ctx, c); err != nil {
		return err
	}
	if len(c.Mails) > 0 {
		a.reporter.Mailed("queued", c.Mails...)
		a.wakeMail()
	}
	return nil
}

// addToken makes an auth token and puts it into the change.
func (a *accounts) addToken(change *Change, acc *Account, c client) string {
	value := newAuthToken()
	digest, _ := digestOf(value)
	now := a.now()
	change.Token = &Token{
		Digest: digest, Account: acc.ID, Created: now, Expires: a.rules.tokenExpires(now),
		Address: c.address, Agent: cutAgent(c.agent),
	}
	change.TokenLimit = a.rules.TokensPerUser
	return value
}

func cutAgent(agent string) string {
	return strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], "")
}

func (a *accounts) mail(p Purpose, acc *Account, c client) *Mail {
	now := a.now()
	return &Mail{
		Account: acc.ID, Purpose: p, Protocol: c.protocol, Language: c.language,
		Source: mailSource(c.address), Created: now, Due: now,
	}
}

// hash runs in the pool; see package password.
func (a *accounts) hash(ctx context.Context, who password.Caller, pass string) (hash string, err error) {
	if busy := a.reporter.Hash(ctx, a.pool, who, func() { hash, err = a.hasher.Hash(pass) }); busy != nil {
		return "", busy
	}
	return hash, err
}

// verify checks a password, and tells how long that took. Without an account, or
// with one whose hash is unusable or can't be checked, it does the work of a new
// hash for nothing.
func (a *accounts) verify(ctx context.Context, who password.Caller, acc *Account, pass string) (ok, weak bool, took time.Duration, err error) {
	err = a.reporter.Hash(ctx, a.pool, who, func() {
		begin := time.Now()
		broken := acc == nil || !password.Usable(acc.Password)
		if !broken {
			var unknown error
			ok, weak, unknown = a.hasher.Verify(acc.Password, pass)
			broken = unknown != nil
		}
		if broken {
			a.hasher.Dummy(pass)
		}
		took = time.Since(begin)
		if !broken && !a.hasher.Made(acc.Password) {
			a.throttles.pace.took(took)
		}
	})
	return ok, weak, took, err
}

// templateUser is what mail templates know of an account. Its username is what
// it logs in with.
func (m *userModel) templateUser(a *Account) map[string]any {
	user := map[string]any{"id": a.ID}
	for _, f := range m.declared {
		user[f.name] = f.value(a)
	}
	user["username"] = m.name(a)
	return user
}

// templateFields are the fields that templates may name, with the values of an
// account that has none.
func (m *userModel) templateFields() map[string]any {
	fields := make(map[string]any)
	for _, f := range m.declared {
		if f.name == "username" || f.name == "email" {
			continue
		}
		if fields[f.name] = f.missing(); fields[f.name] == nil {
			fields[f.name] = f.typ.traits().zero
		}
	}
	return fields
}
