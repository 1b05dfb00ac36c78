package djoser

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"
)

// What the accounts of a realm let happen how often. Endpoints are told apart by
// their names in the settings.

// tooSoonError says how long a client has to wait.
type tooSoonError struct{ wait time.Duration }

func (e *tooSoonError) Error() string { return "asked too often" }

// allow counts a request to an endpoint for the networks of its client's address,
// and a change of an account's fields for the account as well.
func (a *accounts) allow(endpoint string, c client, acc *Account) error {
	rates := a.rates.endpoint(endpoint)
	if len(rates) == 0 {
		return nil
	}
	var limits []limit
	for _, s := range networksOf(c.address) {
		limits = append(limits, limit{limitKey{"address", endpoint, s.network}, s.rates(rates)})
	}
	if endpoint == "me" {
		limits = append(limits, limit{limitKey{"me", strconv.FormatUint(acc.ID, 10)}, pairRates})
	}
	return a.throttle(limits...)
}

func (a *accounts) throttle(limits ...limit) error {
	if wait, ok := a.throttles.requests.allow(limits...); !ok {
		return &tooSoonError{wait}
	}
	return nil
}

// allowPair counts a request to an endpoint for an account, as the client names
// it, and the client's address together. The account need not exist.
func (a *accounts) allowPair(endpoint, name string, c client) error {
	return a.throttle(a.pairLimit(endpoint, name, c)...)
}

func (a *accounts) pairLimit(endpoint, name string, c client) []limit {
	if len(a.rates.endpoint(endpoint)) == 0 {
		return nil
	}
	return []limit{{pairKey(endpoint, name, c), pairRates}}
}

func pairKey(endpoint, name string, c client) limitKey {
	return limitKey{endpoint, network(c.address), name}
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
func (a *accounts) tryLogin(ctx context.Context, name string, c client) (*attempt, error) {
	own := a.pairLimit("login", name, c)
	rates := a.rates.wrongPasswords()
	if len(rates) == 0 || c.known {
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
	a.throttles.known.allow(limit{key: knownKey(name, c)})
	return a.try(own, nil)
}

// tryCurrent begins an attempt at the password of whoever has a token. It is
// apart from the logins: whoever fails there can't hold the owner up here.
func (a *accounts) tryCurrent(endpoint string, acc *Account) (*attempt, error) {
	if len(a.rates.endpoint(endpoint)) == 0 {
		return a.try(nil, nil)
	}
	id := strconv.FormatUint(acc.ID, 10)
	return a.try([]limit{{limitKey{"current password", id}, pairRates}}, nil)
}

func (a *accounts) try(own, others []limit) (*attempt, error) {
	if err := a.throttle(append(slices.Clone(own), others...)...); err != nil {
		return nil, err
	}
	return &attempt{a.throttles.requests, own, others}, nil
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

func knownKey(name string, c client) limitKey {
	return limitKey{"known", network(c.address), name}
}

// know notes that the owner of an account is at the client's address: one who
// has the password, or a link from the account's mailbox. So no attack from
// elsewhere can lock the owner out.
func (a *accounts) know(acc *Account, c client) {
	name := a.model.username.key(a.model.name(acc)).Value
	a.throttles.known.allow(limit{key: knownKey(name, c)})
	a.throttles.requests.forget(pairKey("login", name, c))
}

// recallTime is how long a refusal waits for what the store knows.
const recallTime = 25 * time.Millisecond

// recall looks into the store for a login to the account from the client's
// address. How long that takes would tell a stranger how many tokens the account
// has, or whether there is one: that there is none is said after a fixed time.
func (a *accounts) recall(ctx context.Context, name string, c client) bool {
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
func (a *accounts) hasLoggedIn(ctx context.Context, name string, c client) (bool, error) {
	var id uint64
	acc, err := a.store.AccountByKey(ctx, Key{Field: a.model.username.name, Value: name})
	if err == nil {
		id = acc.ID
	} else if !errors.Is(err, ErrNotFound) {
		return false, err
	}
	tokens, err := a.store.Tokens(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	here := network(c.address)
	return slices.ContainsFunc(tokens, func(t *Token) bool { return network(t.Address) == here }), nil
}
