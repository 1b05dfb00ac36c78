package account

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/throttle"
)

// attempt is a password that is being tried. It counts as a wrong one until proven
// otherwise, so that trying many at once gains nothing.
type attempt struct {
	requests throttle.Counter
	own      []throttle.Limit // of the client
	others   []throttle.Limit // of all clients together
}

// tryLogin begins an attempt to log in under a name.
func (a *Service) tryLogin(ctx context.Context, name loginName, c Client) (*attempt, error) {
	own := a.pairLimit("login", name.counted, c)
	rates := a.Rates.WrongPasswordRates()
	if len(rates) == 0 {
		return a.try(ctx, own, nil)
	}
	return a.tryAs(ctx, name, c, own, []throttle.Limit{{Key: throttle.Key{"wrong passwords", name.counted}, Rates: rates}})
}

// tryAs begins an attempt by a client. The limits of all clients together don't hold for
// clients that have logged in to the account before.
func (a *Service) tryAs(ctx context.Context, name loginName, c Client, own, others []throttle.Limit) (*attempt, error) {
	if c.known {
		return a.try(ctx, own, nil)
	}
	t, refusal := a.try(ctx, own, others)
	if refusal == nil {
		return t, nil
	}
	// After a restart, known clients are only in the store.
	if !a.recall(ctx, name, c) {
		return nil, refusal
	}
	a.remember(name.counted, c)
	return a.try(ctx, own, nil)
}

// tryCurrent begins an attempt at the current password, by a client with a token. It
// counts apart from log-ins, so that failed log-ins don't lock out the owner.
func (a *Service) tryCurrent(ctx context.Context, endpoint string, id uint64) (*attempt, error) {
	if len(a.Rates.Endpoint(endpoint)) == 0 {
		return a.try(ctx, nil, nil)
	}
	return a.try(ctx, []throttle.Limit{{Key: throttle.Key{"current password", strconv.FormatUint(id, 10)}, Rates: pairRates}}, nil)
}

func (a *Service) try(ctx context.Context, own, others []throttle.Limit) (*attempt, error) {
	if err := a.throttle(ctx, append(slices.Clone(own), others...)...); err != nil {
		return nil, err
	}
	return &attempt{a.requests(), own, others}, nil
}

// right ends an attempt with the right password. It forgives the client's own earlier
// attempts, but not those of others.
func (t *attempt) right() {
	t.requests.Forget(keys(t.own)...)
	t.requests.Refund(keys(t.others)...)
}

// untried ends an attempt whose password was not checked.
func (t *attempt) untried() {
	t.requests.Refund(append(keys(t.own), keys(t.others)...)...)
}

func keys(limits []throttle.Limit) (keys []throttle.Key) {
	for _, l := range limits {
		keys = append(keys, l.Key)
	}
	return keys
}

func knownKey(name string, c Client) throttle.Key {
	return throttle.Key{"known", throttle.Network(c.Address), name}
}

// know records that the owner of an account, who had the password or a link from the
// mailbox, uses the client's address. Attacks from elsewhere don't lock out a known
// client.
func (a *Service) know(acc *model.Account, c Client) {
	name := a.Model.Username.Key(a.Model.Name(acc)).Value
	a.remember(name, c)
	a.requests().Forget(pairKey("login", name, c))
}

// remember records that a client is known under a name. Its earlier attempts still count.
func (a *Service) remember(name string, c Client) {
	a.Throttles.known.Allow(throttle.Limit{Key: knownKey(name, c)})
}

// recallTime is how long a refusal waits for the store.
const recallTime = 25 * time.Millisecond

// recall looks in the store for a log-in to the account from the client's address. If
// there is none, it returns after a fixed time, so that a stranger can't measure
// whether the account exists, or how many tokens it has.
func (a *Service) recall(ctx context.Context, name loginName, c Client) bool {
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

// hasLoggedIn reports whether a token of the account was made from the client's network.
func (a *Service) hasLoggedIn(ctx context.Context, name loginName, c Client) (bool, error) {
	var id uint64
	acc, err := name.find(ctx, a)
	if err == nil {
		id = acc.ID
	} else if !errors.Is(err, model.ErrNotFound) {
		return false, err
	}
	tokens, err := a.Store.Tokens(ctx, id)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		return false, err
	}
	here := throttle.Network(c.Address)
	return slices.ContainsFunc(tokens, func(t *model.Token) bool { return throttle.Network(t.Address) == here }), nil
}
