package account

import (
	"context"
	"fmt"
)

// Who has a log-in isn't always its owner. What lasts beyond the log-in, or locks the owner
// out, needs a proof of the last minutes; see Token.IsProved.

// ErrStale means that the owner of a log-in proved too long ago who he is. It is an
// ErrRefused.
var ErrStale = fmt.Errorf("%w: the log-in is too long ago", ErrRefused)

// Proved returns the account of a log-in whose owner proved lately who he is, as it is
// stored. Errors: ErrStale, ErrNotFound if the log-in has ended.
func (r *Request) Proved(ctx context.Context, login *Token) (*Account, error) {
	t, acc, err := r.accounts.Store.Token(ctx, login.Login())
	if err == nil && !t.IsProved(r.accounts.Now()) {
		return nil, ErrStale
	}
	return acc, err
}

// ProveByCode marks a log-in by a code. Errors: those of withCode.
func (r *Request) ProveByCode(ctx context.Context, acc *Account, login Digest, code string) error {
	a := r.accounts
	_, err := a.withCode(ctx, acc, r.event.Client, func(acc *Account, change *Change) error {
		change.Prove = &Proof{Digest: login, At: a.Now(), MFA: true}
		return a.useCode(acc, code)
	})
	return err
}

// ProveByPassword marks a log-in by the password. Errors: those of CheckPassword.
func (r *Request) ProveByPassword(ctx context.Context, id uint64, login Digest, pass string) error {
	if _, err := r.CheckPassword(ctx, id, pass); err != nil {
		return err
	}
	return r.accounts.Commit(ctx, &Change{Prove: &Proof{Digest: login, At: r.accounts.Now()}})
}
