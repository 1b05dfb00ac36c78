package account_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
)

func TestSweepDeletesOnlyWhatWasNeverActivated(t *testing.T) {
	r := newRealm(t, func(s *account.Service) {
		s.Rules.SendActivationEmail, s.Pool = true, password.NewPool(1, 1000)
	})
	ctx, week := t.Context(), 7*24*time.Hour
	activated := r.register("activated", "secret", "activated@a.example")
	if _, _, err := r.activate(activated, r.link(model.PurposeActivation)); err != nil {
		t.Fatal(err)
	}
	var early sync.WaitGroup
	for n := range 300 { // more than are read at a time
		early.Go(func() {
			if _, _, err := r.tryRegister(model.Values{"username": fmt.Sprint("early", n), "email": fmt.Sprint("early", n, "@a.example")}, "secret"); err != nil {
				t.Error(err)
			}
		})
	}
	early.Wait()
	enabled := r.register("enabled", "secret", "enabled@a.example")
	disabled := r.register("disabled", "secret", "disabled@a.example")
	_, err := r.Enable(ctx, enabled.ID)
	if _, failed := r.Disable(ctx, disabled.ID); errors.Join(err, failed) != nil {
		t.Fatal(err, failed)
	}
	inactive, yes := false, true
	made, err := r.Create(ctx, &account.Patch{Fields: model.Values{"username": "made"}, Active: &inactive}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	confirmed := r.register("confirmed", "secret", "confirmed@a.example")
	member := r.register("member", "secret", "member@a.example")
	_, err = r.ConfirmEmail(ctx, confirmed.ID)
	if _, failed := r.Patch(ctx, member.ID, &account.Patch{Staff: &yes}); errors.Join(err, failed) != nil {
		t.Fatal(err, failed)
	}
	r.pass(r.Links.TTL + time.Hour)
	late := r.register("late", "secret", "late@a.example")

	sweep := func(want int) {
		t.Helper()
		if deleted, err := r.Sweep(ctx); err != nil || deleted != want {
			t.Errorf("%d accounts were deleted instead of %d: %v", deleted, want, err)
		}
	}
	sweep(0) // an administrator can still activate them
	r.pass(week)
	sweep(300)
	sweep(0)
	for _, acc := range []*model.Account{enabled, disabled, activated, made, confirmed, member, late} {
		if _, err := r.Store.Account(ctx, acc.ID); err != nil {
			t.Errorf("%s: %v", acc.Username, err)
		}
	}
	if st, err := r.Store.Stats(ctx); err != nil || st.Accounts != 7 {
		t.Errorf("%d accounts are left, %v", st.Accounts, err)
	}
	r.pass(r.Links.TTL + time.Hour)
	sweep(1)
}
