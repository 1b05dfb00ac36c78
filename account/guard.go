package account

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
)

// What the accounts of a realm let happen how often. Endpoints are told apart by
// their names in the settings.

// TooSoonError says how long a client has to wait.
type TooSoonError struct{ Wait time.Duration }

func (e *TooSoonError) Error() string { return "asked too often" }

// allow counts a request to an endpoint for the networks of its client's address,
// and a change of an account's fields for the account as well.
func (a *Service) allow(endpoint string, c Client, acc *Account) error {
	rates := a.Rates.endpoint(endpoint)
	if len(rates) == 0 {
		return nil
	}
	var limits []limit
	for _, s := range networksOf(c.Address) {
		limits = append(limits, limit{limitKey{"address", endpoint, s.network}, s.rates(rates)})
	}
	if endpoint == "me" {
		limits = append(limits, limit{limitKey{"me", strconv.FormatUint(acc.ID, 10)}, pairRates})
	}
	return a.throttle(limits...)
}

func (a *Service) throttle(limits ...limit) error {
	if wait, ok := a.Throttles.Requests.allow(limits...); !ok {
		return &TooSoonError{wait}
	}
	return nil
}

// allowPair counts a request to an endpoint for an account, as the client names
// it, and the client's address together. The account need not exist.
func (a *Service) allowPair(endpoint, name string, c Client) error {
	return a.throttle(a.pairLimit(endpoint, name, c)...)
}

func (a *Service) pairLimit(endpoint, name string, c Client) []limit {
	if len(a.Rates.endpoint(endpoint)) == 0 {
		return nil
	}
	return []limit{{pairKey(endpoint, name, c), pairRates}}
}

func pairKey(endpoint, name string, c Client) limitKey {
	return limitKey{endpoint, network(c.Address), name}
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

// hasLoggedIn tells whether a token of the account was made at the client's
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
