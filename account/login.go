package account

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-djoser/djoser/password"
)

// Login is the one way to an auth token by name and password. It counts the
// attempt, checks the password, forgives what was counted if it was right, and
// commits the token. An unknown name costs what a known one does. The account is
// returned with an error too, if there is one.
func (a *Service) Login(ctx context.Context, name, pass string, c Client) (*Account, string, error) {
	key := a.Model.Username.Key(a.Model.Normalize(name))
	c.Known = a.Throttles.known.has(knownKey(key.Value, c))
	try, err := a.tryLogin(ctx, key.Value, c)
	if err != nil {
		return nil, "", err
	}
	acc, token, err := a.logIn(ctx, key, pass, c)
	switch {
	case err == nil:
		a.know(acc, c)
		try.right()
	case errors.Is(err, ErrDisabled):
		try.right()
	case !errors.Is(err, ErrCredentials):
		try.untried()
	}
	return acc, token, err
}

// logIn checks a password, and makes an auth token.
func (a *Service) logIn(ctx context.Context, key Key, pass string, c Client) (*Account, string, error) {
	acc, err := a.Store.AccountByKey(ctx, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, "", err
	}
	ok, weak, took, err := a.Verify(ctx, c.caller(), acc, pass)
	switch {
	case err != nil:
		return acc, "", err
	case !ok:
		a.Throttles.Pace.even(ctx, took)
		return acc, "", ErrCredentials
	case !acc.IsActive:
		return acc, "", ErrDisabled
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

// CheckPassword checks the current password of an account for an endpoint, and
// counts the attempt. It returns the account whose password was checked.
// errPassword: it is wrong.
func (a *Service) CheckPassword(ctx context.Context, endpoint string, id uint64, pass string, c Client) (*Account, error) {
	c.Known = true // by a token
	acc, err := a.Store.Account(ctx, id)
	if err != nil {
		return nil, err
	}
	try, err := a.tryCurrent(endpoint, acc)
	if err != nil {
		return nil, err
	}
	ok, _, _, err := a.Verify(ctx, c.caller(), acc, pass)
	switch {
	case err != nil:
		try.untried()
		return nil, err
	case !ok:
		return nil, ErrPassword
	}
	try.right()
	return acc, nil
}

// commitLogin adds a token, unless the password or the activity of the account
// changed while they were checked.
func (a *Service) commitLogin(ctx context.Context, change *Change, checked *Account) error {
	for range attempts {
		err := a.Commit(ctx, change)
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			return err
		}
		acc, err := a.Store.Account(ctx, checked.ID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err != nil || !stillChecked(acc, checked) {
			return ErrCredentials
		}
		change.Serial = acc.Serial // something else changed, such as the address
	}
	return ErrConflict
}

// stillChecked reports whether what a password opened is still open to it.
func stillChecked(acc, checked *Account) bool {
	return acc.IsActive && acc.Password == checked.Password
}

// upgrade rewrites a hash that is weaker than the settings ask for. That it
// couldn't be done is no reason to refuse the login: the next one tries again.
func (a *Service) upgrade(ctx context.Context, acc *Account, pass string, c Client) {
	hash, err := a.hash(ctx, c.caller(), pass)
	if err != nil {
		return
	}
	old := acc.Password
	_, _ = a.Update(ctx, acc.ID, func(stored *Account, _ *Change) error {
		if stored.Password != old {
			return ErrCredentials
		}
		stored.Password = hash
		return nil
	})
}

// Logout ends one token.
func (a *Service) Logout(ctx context.Context, digest Digest) error {
	err := a.Commit(ctx, &Change{EndToken: &digest})
	if errors.Is(err, ErrNotFound) {
		return nil // another request ended it
	}
	return err
}

// hash runs in the pool; see package password.
func (a *Service) hash(ctx context.Context, who password.Caller, pass string) (hash string, err error) {
	if busy := a.Reporter.Hash(ctx, a.Pool, who, func() { hash, err = a.Hasher.Hash(pass) }); busy != nil {
		return "", busy
	}
	return hash, err
}

// Verify checks a password, and tells how long that took. Without an account, or
// with one whose hash is unusable or can't be checked, it does the work of a new
// hash for nothing.
func (a *Service) Verify(ctx context.Context, who password.Caller, acc *Account, pass string) (ok, weak bool, took time.Duration, err error) {
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
			a.Throttles.Pace.took(took)
		}
	})
	return ok, weak, took, err
}

// attempt is a password that is being tried. It counts as a wrong one until it
// has turned out to be something else, so that many at once get no further
// than one after the other.
type attempt struct {
	requests *limiter
	own      []limit // what the client itself has tried
	others   []limit // what everybody together has tried
}

// tryLogin begins an attempt to log in under a name.
func (a *Service) tryLogin(ctx context.Context, name string, c Client) (*attempt, error) {
	own := a.pairLimit("login", name, c)
	rates := a.Rates.wrongPasswords()
	if len(rates) == 0 || c.Known {
		return a.try(own, nil)
	}
	t, refusal := a.try(own, []limit{{limitKey{"wrong passwords", name}, rates}})
	if refusal == nil {
		return t, nil
	}
	// What is known may have been lost with a restart.
	if !a.recall(ctx, name, c) {
		return nil, refusal
	}
	a.Throttles.known.allow(limit{key: knownKey(name, c)})
	return a.try(own, nil)
}

// tryCurrent begins an attempt at the password of whoever has a token. It is
// apart from the logins: whoever fails there can't hold the owner up here.
func (a *Service) tryCurrent(endpoint string, acc *Account) (*attempt, error) {
	if len(a.Rates.endpoint(endpoint)) == 0 {
		return a.try(nil, nil)
	}
	id := strconv.FormatUint(acc.ID, 10)
	return a.try([]limit{{limitKey{"current password", id}, pairRates}}, nil)
}

func (a *Service) try(own, others []limit) (*attempt, error) {
	if err := a.throttle(append(slices.Clone(own), others...)...); err != nil {
		return nil, err
	}
	return &attempt{a.Throttles.Requests, own, others}, nil
}

// right ends an attempt with the right password. The client's own wrong ones
// before it are forgiven; those of everybody may have been somebody else's.
func (t *attempt) right() {
	for _, l := range t.own {
		t.requests.forget(l.key)
	}
	for _, l := range t.others {
		t.requests.refund(l.key)
	}
}

// untried ends an attempt whose password was not looked at.
func (t *attempt) untried() {
	for _, l := range append(slices.Clone(t.own), t.others...) {
		t.requests.refund(l.key)
	}
}

func knownKey(name string, c Client) limitKey {
	return limitKey{"known", network(c.Address), name}
}

// know notes that the owner of an account is at the client's address: one who
// has the password, or a link from the account's mailbox. So no attack from
// elsewhere can lock the owner out.
func (a *Service) know(acc *Account, c Client) {
	name := a.Model.Username.Key(a.Model.Name(acc)).Value
	a.Throttles.known.allow(limit{key: knownKey(name, c)})
	a.Throttles.Requests.forget(pairKey("login", name, c))
}

// recallTime is how long a refusal waits for what the store knows.
const recallTime = 25 * time.Millisecond

// recall looks into the store for a login to the account from the client's
// address. How long that takes would tell a stranger how many tokens the account
// has, or whether there is one: that there is none is said after a fixed time.
func (a *Service) recall(ctx context.Context, name string, c Client) bool {
	ctx, cancel := context.WithTimeout(ctx, recallTime)
	defer cancel()
	found := make(chan struct{})
	go func() {
		if logged, err := a.hasLoggedIn(ctx, name, c); err == nil && logged {
			close(found)
		}
	}()
	select {
	case <-found:
		return true
	case <-ctx.Done():
		return false
	}
}

// hasLoggedIn reports whether a token of the account was made at the client's
// address.
func (a *Service) hasLoggedIn(ctx context.Context, name string, c Client) (bool, error) {
	var id uint64
	acc, err := a.Store.AccountByKey(ctx, Key{Field: a.Model.Username.Name, Value: name})
	if err == nil {
		id = acc.ID
	} else if !errors.Is(err, ErrNotFound) {
		return false, err
	}
	tokens, err := a.Store.Tokens(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	here := network(c.Address)
	return slices.ContainsFunc(tokens, func(t *Token) bool { return network(t.Address) == here }), nil
}

// pace makes a wrong password take as long for every name. A hash that Django
// made takes many times what one of today does, until its owner has logged in:
// the time of a refusal would tell whose account came from there, and so which
// names there are. To do the work of such a hash for every name would be a gift
// to whoever floods the log-in, so the others wait.
type pace struct {
	mu      sync.Mutex
	Slowest time.Duration // of the other hashes that were checked lately; zero: none was
}

// maxPace bounds how long a refusal waits.
const maxPace = 2 * time.Second

// took notes how long a hash took that isn't of today's kind. What a busy
// machine made of one is forgotten bit by bit with the next ones.
func (p *pace) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Slowest = max(min(d, maxPace), p.Slowest-p.Slowest/16)
}

// rest is how long a refusal waits whose hash took d. A quarter more than the
// slowest hides that not all take the same.
func (p *pace) rest(d time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, p.Slowest+p.Slowest/4-d)
}

// even waits until a refusal whose hash took d may be answered.
func (p *pace) even(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(p.rest(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
