package account

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
)

// Login returns an auth token by name and password. The name is a value of the field: the
// username field, or another one that is unique or an address. Errors: ErrCredentials,
// ErrDisabled, *TooSoonError, password.ErrBusy.
func (r *Request) Login(ctx context.Context, field *model.Field, name, pass string) (acc *model.Account, token string, err error) {
	token, t := newLogin(model.MethodPassword)
	if acc, err = r.login(ctx, field, name, pass, t); err != nil {
		return acc, "", err
	}
	return acc, token, nil
}

// login is the only way to a log-in by name and password, for every layout of the API. It
// counts the attempt, verifies the password, forgives earlier attempts if it was right, and
// commits the log-in; Do, around it, counts the request and reports the
// outcome. An unknown name costs as much as a known one.
func (r *Request) login(ctx context.Context, field *model.Field, name, pass string, t *model.Token) (*model.Account, error) {
	a, c := r.accounts, r.event.Client
	r.event.Account = nil // not that of the request's token
	who := a.loginName(field, name)
	c.known = a.Throttles.known.Has(knownKey(who.counted, c))
	try, err := a.tryLogin(ctx, who, c)
	if err != nil {
		return nil, err
	}
	acc, err := a.logIn(ctx, who, pass, c, t)
	r.event.Account = acc
	switch {
	case err == nil:
		a.know(acc, c)
		a.remember(who.counted, c)
		try.right()
	case errors.Is(err, ErrDisabled), errors.As(err, new(*FactorError)):
		try.right()
	case !errors.Is(err, ErrCredentials):
		try.untried()
	}
	return acc, err
}

// loginName is what an account logs in with.
type loginName struct {
	field   *model.Field
	key     model.Key
	counted string // in throttles
}

func (a *Service) loginName(f *model.Field, name string) loginName {
	if f == a.Model.Username {
		key := f.Key(a.Model.Normalize(name))
		return loginName{f, key, key.Value}
	}
	key := f.Key(name)
	return loginName{f, key, f.Name + ":" + key.Value}
}

// find returns the account with the name, or ErrNotFound. Of several with an address that
// isn't unique, it is an active one that has confirmed it, or else the oldest active one.
func (n loginName) find(ctx context.Context, a *Service) (*model.Account, error) {
	if n.field.Unique {
		return a.Store.AccountByKey(ctx, n.key)
	}
	found, err := a.Store.AccountsByEmail(ctx, n.key.Value, maxFound)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 || n.key.Value == "" {
		return nil, model.ErrNotFound
	}
	for _, better := range []func(*model.Account) bool{
		func(acc *model.Account) bool { return acc.EmailConfirmed && acc.IsActive },
		func(acc *model.Account) bool { return acc.IsActive },
	} {
		if i := slices.IndexFunc(found, better); i >= 0 {
			return found[i], nil
		}
	}
	return found[0], nil
}

// logIn verifies a password, and commits a log-in. With an error, the account is returned if it
// exists. Errors: those of Login, *FactorError.
func (a *Service) logIn(ctx context.Context, name loginName, pass string, c Client, t *model.Token) (*model.Account, error) {
	acc, err := name.find(ctx, a)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return nil, err
	}
	ok, weak, took, err := a.verify(ctx, c.caller(), acc, pass)
	switch {
	case err != nil:
		return acc, err
	case !ok || acc.Provisional && a.quietNames():
		a.Throttles.pace.even(ctx, took)
		return acc, ErrCredentials
	case !acc.IsActive:
		return acc, ErrDisabled
	}
	change := &model.Change{Serial: acc.Serial}
	if err = a.addLogin(change, acc, c, t); err == nil {
		err = a.commitLogin(ctx, change, acc)
	}
	if weak && (err == nil || errors.As(err, new(*FactorError))) {
		a.upgrade(ctx, acc, pass, c)
	}
	return acc, err
}

// CheckPassword checks the current password of an account, and counts the attempt. It
// returns the account whose password was checked. Errors: ErrPassword, *TooSoonError,
// password.ErrBusy.
func (r *Request) CheckPassword(ctx context.Context, id uint64, pass string) (*model.Account, error) {
	a, c := r.accounts, r.event.Client
	c.known = true // has a token
	try, err := a.tryCurrent(ctx, r.event.Action, id)
	if err != nil {
		return nil, err
	}
	acc, err := a.Store.Account(ctx, id)
	if err != nil {
		try.untried()
		return nil, err
	}
	ok, _, _, err := a.verify(ctx, c.caller(), acc, pass)
	switch {
	case err != nil:
		try.untried()
		return nil, err
	case !ok:
		r.event.Outcome = OutcomeWrong // even if the caller reports it as an invalid field
		return nil, ErrPassword
	}
	try.right()
	return acc, nil
}

// commitLogin commits a token, unless the account's password or activity changed
// meanwhile.
func (a *Service) commitLogin(ctx context.Context, change *model.Change, checked *model.Account) error {
	for range attempts {
		err := a.Commit(ctx, change)
		if !errors.Is(err, model.ErrConflict) && !errors.Is(err, model.ErrNotFound) {
			return err
		}
		acc, err := a.Store.Account(ctx, checked.ID)
		if err != nil && !errors.Is(err, model.ErrNotFound) {
			return err
		}
		if err != nil || !stillChecked(acc, checked) {
			return ErrCredentials
		}
		change.Serial = acc.Serial // something else changed, such as the address
	}
	return model.ErrConflict
}

// stillChecked reports whether a check of the password is still valid.
func stillChecked(acc, checked *model.Account) bool {
	return acc.IsActive && acc.Password == checked.Password
}

// upgrade replaces a hash that is weaker than the settings require. It ignores errors:
// the next log-in tries again.
func (a *Service) upgrade(ctx context.Context, acc *model.Account, pass string, c Client) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return
	}
	old := acc.Password
	_, _ = a.Update(ctx, acc.ID, func(stored *model.Account, _ *model.Change) error {
		if stored.Password != old {
			return ErrCredentials
		}
		stored.Password = hash
		return nil
	})
}

// Logout ends one token.
func (r *Request) Logout(ctx context.Context, digest model.Digest) error {
	err := r.accounts.Commit(ctx, &model.Change{EndToken: &digest})
	if errors.Is(err, model.ErrNotFound) {
		return nil // another request ended it
	}
	return err
}

// LogoutAll ends every token of an account, as RevokeAll does.
func (r *Request) LogoutAll(ctx context.Context, id uint64) error {
	_, err := r.accounts.RevokeAll(ctx, id)
	return err
}

// LogoutOthers ends every log-in of an account but one. Named tokens stay.
func (r *Request) LogoutOthers(ctx context.Context, id uint64, keep model.Digest) error {
	_, err := r.accounts.Update(ctx, id, func(_ *model.Account, change *model.Change) error {
		change.EndTokens, change.Keep, change.KeepNamed = true, keep, true
		return nil
	})
	return err
}

// EndToken ends one token of an account, as Revoke does.
func (r *Request) EndToken(ctx context.Context, account uint64, id string) error {
	return r.accounts.Revoke(ctx, account, id)
}

// hash hashes a password in the pool.
func (a *Service) hash(ctx context.Context, who password.Caller, pass string) (hash string, err error) {
	if busy := a.Reporter.Hash(ctx, a.Pool, who, func() { hash, err = a.Hasher.Hash(pass) }); busy != nil {
		return "", busy
	}
	return hash, err
}

// verify checks a password, and measures how long that took. Without an account, or
// with an unusable or unknown hash, it does the same work as for a new hash.
func (a *Service) verify(ctx context.Context, who password.Caller, acc *model.Account, pass string) (ok, weak bool, took time.Duration, err error) {
	err = a.Reporter.Hash(ctx, a.Pool, who, func() {
		begin := time.Now()
		broken := acc == nil || !password.Usable(acc.Password)
		if !broken {
			var unknown error
			ok, weak, unknown = a.Hasher.Verify(acc.Password, pass)
			broken = unknown != nil
		}
		if broken {
			a.Hasher.Dummy(pass)
		}
		took = time.Since(begin)
		if !broken && !a.Hasher.Made(acc.Password) {
			a.Throttles.pace.took(took)
		}
	})
	return ok, weak, took, err
}

// pace makes a wrong password take the same time for every name. Until its owner logs
// in, a hash from Django takes many times longer than one of ours. The time of a
// refusal would show which accounts came from Django, and so which names exist. Doing
// the work of such a hash for every name would help a flood of log-ins, so the others
// wait instead.
type pace struct {
	mu      sync.Mutex
	slowest time.Duration // of recently checked hashes from Django; zero: none
}

// maxPace is how long a refusal waits at most.
const maxPace = 2 * time.Second

// took records how long a hash from Django took. A slow one, on a busy machine, is
// forgotten bit by bit.
func (p *pace) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slowest = max(min(d, maxPace), p.slowest-p.slowest/16)
}

// rest returns how long a refusal waits whose hash took d. The slowest plus a quarter
// hides differences between hashes.
func (p *pace) rest(d time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.slowest+p.slowest/4-d)
}

// even delays a refusal whose hash took d.
func (p *pace) even(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(p.rest(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
