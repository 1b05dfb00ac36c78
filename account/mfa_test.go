package account_test

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/mfa"
	"github.com/caddy-djoser/djoser/model"
)

// countingStore counts transactions.
type countingStore struct {
	model.Store
	commits int
}

func (s *countingStore) Commit(ctx context.Context, c *model.Change) error {
	s.commits++
	return s.Store.Commit(ctx, c)
}

// A code is used up, and the log-in made, in one transaction: there is no log-in without the
// code, and no lost code without a log-in.
func TestALoginWithASecondFactorIsOneTransaction(t *testing.T) {
	r := newRealm(t, func(a *account.Service) { a.Rules.MFA = true })
	ann := r.register("ann", "pw", "")
	code := mfa.NewRecoveryCodes()[0]
	_, err := r.Update(t.Context(), ann.ID, func(acc *model.Account, _ *model.Change) error {
		digest, _ := mfa.RecoveryDigest(r.Links.Key, acc.ID, code)
		acc.Factor = &model.Factor{Secret: mfa.NewSecret(), Recovery: []model.Digest{digest}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	store := &countingStore{Store: r.Store}
	r.Store = store
	_, _, err = r.login(here, "ann", "pw")
	var needed *account.FactorError
	if !errors.As(err, &needed) {
		t.Fatalf("a password alone: %v", err)
	}
	verify := func() (token string, err error) {
		err = r.do("mfa_verify", func(req *account.Request) error {
			_, token, _, err = req.VerifyFactor(t.Context(), needed.Ephemeral, account.FactorAnswer{Code: code}, "")
			return err
		})
		return token, err
	}
	token, err := verify()
	digest, _ := model.DigestOf(token)
	if err != nil {
		t.Fatal(err)
	}
	if _, acc, err := store.Token(t.Context(), digest); err != nil || len(acc.Factor.Recovery) != 0 {
		t.Errorf("after the log-in: %v, %v", acc, err)
	}
	if store.commits != 1 {
		t.Errorf("%d transactions", store.commits)
	}
	if _, err := verify(); !errors.Is(err, account.ErrLink) {
		t.Errorf("once more: %v", err)
	}
	if store.commits != 1 {
		t.Errorf("%d transactions after a refusal", store.commits)
	}
}
