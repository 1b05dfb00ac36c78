package account

import (
	"context"
	"fmt"

	"github.com/caddy-djoser/djoser/model"
)

// Who has a log-in isn't always its owner. What lasts beyond the log-in, or locks the owner
// out, needs a proof of the last minutes; see Token.IsProved.

// ErrStale means that the owner of a log-in proved too long ago who he is. It is an
// ErrRefused.
var ErrStale = fmt.Errorf("%w: the log-in is too long ago", ErrRefused)

// Proved returns the account of a log-in whose owner proved lately who he is, as it is
// stored. Errors: ErrStale, ErrNotFound if the log-in has ended.
func (r *Request) Proved(ctx context.Context, login *model.Token) (*model.Account, error) {
	t, acc, err := r.accounts.Store.Token(ctx, login.Login())
	if err == nil && !t.IsProved(r.accounts.Now()) {
		return nil, ErrStale
	}
	return acc, err
}

// ErrFactorNeeded is an ErrStale: an account that needs a second factor changes its factors
// only by a proof of one. Who has stolen a log-in and knows the password can't get round it by
// another one.
var ErrFactorNeeded = fmt.Errorf("%w: a second factor is needed", ErrStale)

// ProvedFactor is Proved for a change of the factors. It returns the account with ErrStale, too.
// Errors: ErrFactorNeeded, those of Proved.
func (r *Request) ProvedFactor(ctx context.Context, login *model.Token) (*model.Account, error) {
	a := r.accounts
	t, acc, err := a.Store.Token(ctx, login.Login())
	switch {
	case err != nil:
		return nil, err
	case !a.Rules.NeedsFactor(acc) && !t.IsProved(a.Now()):
		return acc, ErrStale
	case a.Rules.NeedsFactor(acc) && !t.IsFactorProved(a.Now()):
		return acc, ErrFactorNeeded
	}
	return acc, nil
}

// ProveByFactor marks a log-in by a second factor. Errors: those of withFactor.
func (r *Request) ProveByFactor(ctx context.Context, acc *model.Account, login model.Digest, f FactorAnswer) error {
	a := r.accounts
	_, err := a.withFactor(ctx, acc, r.event.Client, f, func(acc *model.Account, change *model.Change) error {
		change.Prove = &model.Proof{Digest: login, At: a.Now(), MFA: true}
		return a.useFactor(acc, aboutLogin, f)
	})
	return err
}

// ProveByPassword marks a log-in by the password. Errors: those of CheckPassword.
func (r *Request) ProveByPassword(ctx context.Context, id uint64, login model.Digest, pass string) error {
	if _, err := r.CheckPassword(ctx, id, pass); err != nil {
		return err
	}
	return r.accounts.Commit(ctx, &model.Change{Prove: &model.Proof{Digest: login, At: r.accounts.Now()}})
}
