package account

import (
	"context"
	"strconv"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/throttle"
)

// Throttles remember requests and attempts. They live as long as the store is open, so
// that a reload forgets nothing.
type Throttles struct {
	requests *throttle.Limiter // by address, by account and address, by account
	known    *throttle.Limiter // addresses that have logged in, by account
	mails    *throttle.Limiter // by account
	pace     *pace             // of wrong passwords
	shared   throttle.Shared   // nil: the store isn't shared
}

// NewThrottles returns throttles that have counted nothing yet. shared is what counts for all
// servers, or nil.
func NewThrottles(now func() time.Time, shared throttle.Shared) *Throttles {
	return &Throttles{throttle.New(now), throttle.New(now), throttle.New(now), new(pace), shared}
}

// requests and mails return what counts requests and mails.
func (a *Service) requests() throttle.Counter { return a.counter(a.Throttles.requests) }
func (a *Service) mails() throttle.Counter    { return a.counter(a.Throttles.mails) }

func (a *Service) counter(own *throttle.Limiter) throttle.Counter {
	if a.Rates.Shared {
		return throttle.Counter{Own: own, Shared: a.Throttles.shared}
	}
	return throttle.Counter{Own: own}
}

// pairRates limit one account from one address, at every endpoint with a limit. They also
// hold if the limit on addresses was raised, because many clients share one.
var pairRates = []throttle.Rate{{Times: 10, Per: time.Minute}, {Times: 50, Per: time.Hour}}

// TooSoonError is the error of a throttled request.
type TooSoonError struct{ Wait time.Duration }

func (e *TooSoonError) Error() string { return "asked too often" }

// allow counts a request to an endpoint for the networks of the client, and a change
// of an account's fields also for the account.
func (a *Service) allow(ctx context.Context, endpoint string, c Client, acc *model.Account) error {
	limits := a.networkLimits("address", endpoint, c)
	if endpoint == "me" && acc != nil && len(limits) > 0 {
		limits = append(limits, throttle.Limit{Key: throttle.Key{"me", strconv.FormatUint(acc.ID, 10)}, Rates: pairRates})
	}
	return a.throttle(ctx, limits...)
}

// AllowBegin counts the begin of what a request to an endpoint ends, as often as and apart
// from that. Errors: *TooSoonError.
func (a *Service) AllowBegin(ctx context.Context, endpoint string, c Client) error {
	return a.throttle(ctx, a.networkLimits("begin", endpoint, c)...)
}

// networkLimits are the limits of an endpoint for the networks of a client.
func (a *Service) networkLimits(kind, endpoint string, c Client) (limits []throttle.Limit) {
	rates := a.Rates.Endpoint(endpoint)
	if len(rates) == 0 {
		return nil
	}
	for _, s := range throttle.Networks(c.Address) {
		limits = append(limits, throttle.Limit{Key: throttle.Key{kind, endpoint, s.Network}, Rates: s.Rates(rates)})
	}
	return limits
}

func (a *Service) throttle(ctx context.Context, limits ...throttle.Limit) error {
	if wait, ok := a.requests().Allow(ctx, limits...); !ok {
		return &TooSoonError{wait}
	}
	return nil
}

// allowPair counts a request to an endpoint for the pair of an account, as the client
// names it, and the client's network. The account need not exist.
func (a *Service) allowPair(ctx context.Context, endpoint, name string, c Client) error {
	return a.throttle(ctx, a.pairLimit(endpoint, name, c)...)
}

func (a *Service) pairLimit(endpoint, name string, c Client) []throttle.Limit {
	if len(a.Rates.Endpoint(endpoint)) == 0 {
		return nil
	}
	return []throttle.Limit{{Key: pairKey(endpoint, name, c), Rates: pairRates}}
}

func pairKey(endpoint, name string, c Client) throttle.Key {
	return throttle.Key{endpoint, throttle.Network(c.Address), name}
}
