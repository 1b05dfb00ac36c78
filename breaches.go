package djoser

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/caddy-djoser/djoser/internal/pwned"
	"go.uber.org/zap"
)

// breaches finds passwords that have appeared in data breaches, for the validator pwned.
type breaches struct {
	client  *pwned.Client
	metrics *realmMetrics
	log     *zap.Logger
	down    atomic.Bool // the last answer was none
}

// newBreaches returns nil without the validator pwned.
func (r *realm) newBreaches() *breaches {
	p := &r.settings.Password
	if !slices.Contains(p.Validators, "pwned") {
		return nil
	}
	return &breaches{client: pwned.New(cmp.Or(p.PwnedURL, pwned.DefaultURL)), metrics: r.metrics, log: r.log}
}

// have reports whether a password is known to have appeared in one. If nobody can say, it is
// taken: a registration must not depend on another service.
func (b *breaches) have(password string) bool {
	found, err := b.client.Breached(password)
	switch {
	case err != nil:
		b.metrics.pwnedChecked("failed")
		if !b.down.Swap(true) {
			b.log.Warn("the server of the validator pwned gives no answer: new passwords are taken without it", zap.Error(err))
		}
		return false
	case b.down.Swap(false):
		b.log.Info("the server of the validator pwned answers again")
	}
	if found {
		b.metrics.pwnedChecked("found")
	} else {
		b.metrics.pwnedChecked("not_found")
	}
	return found
}
