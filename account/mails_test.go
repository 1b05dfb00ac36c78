package account

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/throttle"
)

func TestAccountsThatAMailNames(t *testing.T) {
	account := func(id uint64, email string, confirmed bool) *model.Account {
		return &model.Account{ID: id, Email: email, EmailConfirmed: confirmed, IsActive: true, Password: "hash"}
	}
	waiting := func(id uint64, email string) *model.Account {
		return &model.Account{ID: id, Email: email, PendingEmail: email, Password: "hash"}
	}
	gone := account(9, "ann@a.example", true)
	gone.IsActive = false
	none := account(8, "ann@a.example", true)
	none.Password = "!"
	for _, c := range []struct {
		name    string
		purpose model.Purpose
		asked   string
		found   []*model.Account
		to      string
		ids     []uint64
	}{
		{"nobody", model.PurposePasswordReset, "ann@a.example", nil, "", nil},
		{"all", model.PurposePasswordReset, "ann@a.example", []*model.Account{account(1, "ann@a.example", false), account(2, "ann@a.example", false)}, "ann@a.example", []uint64{1, 2}},
		{"the confirmed", model.PurposePasswordReset, "ann@a.example", []*model.Account{account(1, "ann@a.example", false), account(2, "ann@a.example", true), account(3, "ann@a.example", true)}, "ann@a.example", []uint64{2, 3}},
		{"who can't have a reset doesn't count", model.PurposePasswordReset, "ann@a.example", []*model.Account{account(1, "ann@a.example", false), none, gone}, "ann@a.example", []uint64{1}},
		{"as it was asked for", model.PurposePasswordReset, "ann@a.example", []*model.Account{account(1, "ANN@a.example", false), account(2, "ann@a.example", false)}, "ann@a.example", []uint64{2}},
		{"as it is stored", model.PurposePasswordReset, "aNN@a.example", []*model.Account{account(1, "ANN@a.example", false), account(2, "ann@a.example", false)}, "ANN@a.example", []uint64{1}},
		{"as a version before stored it", model.PurposePasswordReset, "ann@a.example", []*model.Account{account(1, "ann@A.example", false)}, "ann@A.example", []uint64{1}},
		{"who waits", model.PurposeActivation, "ann@a.example", []*model.Account{account(1, "ann@a.example", true), waiting(2, "ann@a.example"), waiting(3, "ann@a.example")}, "ann@a.example", []uint64{2, 3}},
	} {
		named, to := (&Service{}).chooseNamed(&model.Mail{Purpose: c.purpose, Address: c.asked}, c.found)
		var ids []uint64
		for _, acc := range named {
			ids = append(ids, acc.ID)
		}
		if to != c.to || fmt.Sprint(ids) != fmt.Sprint(c.ids) {
			t.Errorf("%s: %v at %s", c.name, ids, to)
		}
	}

	// However many have the address, each gets its turn, and the oldest always.
	named := make(map[uint64]bool)
	for range 1000 {
		var many []*model.Account
		for id := range uint64(100) {
			many = append(many, account(id+1, "ann@a.example", false))
		}
		chosen, _ := (&Service{}).chooseNamed(&model.Mail{Purpose: model.PurposePasswordReset, Address: "ann@a.example"}, many)
		if len(chosen) != maxNamed {
			t.Fatalf("%d named", len(chosen))
		}
		if chosen[0].ID != 1 || chosen[maxNamed/2-1].ID != maxNamed/2 {
			t.Fatal("who came later has the place of the oldest")
		}
		for _, acc := range chosen {
			named[acc.ID] = true
		}
	}
	if len(named) != 100 {
		t.Errorf("%d of 100 had a turn", len(named))
	}
}

func TestMailsToAMailboxAreLimited(t *testing.T) {
	now := time.Unix(1e9, 0)
	a := &Service{Rates: new(throttle.Settings), Throttles: NewThrottles(func() time.Time { return now }, nil)}
	reach := func(p model.Purpose, to string, confirmed bool) bool {
		return a.mayReach(t.Context(), &model.Mail{Purpose: p}, to, []*model.Account{{EmailConfirmed: confirmed}})
	}
	for i, purpose := range []model.Purpose{model.PurposeActivation, model.PurposeEmailChange, model.PurposeActivation, model.PurposePasswordReset, model.PurposeActivation} {
		if !reach(purpose, fmt.Sprintf("Bob+%d@b.example", i), false) {
			t.Errorf("mail %d is too many", i)
		}
	}
	for _, c := range []struct {
		purpose   model.Purpose
		to        string
		confirmed bool
		want      bool
	}{
		{model.PurposeActivation, "bob@b.example", false, false},
		{model.PurposeActivation, "BOB+x+y@B.example", false, false},
		{model.PurposeActivation, "b.o.b@b.example", false, false},
		{model.PurposePasswordReset, "bob+x@b.example", false, false},
		// What the owner has a claim to.
		{model.PurposePasswordReset, "bob@b.example", false, true},
		{model.PurposePasswordReset, "bob+x@b.example", true, true},
		{model.PurposeEmailNotice, "bob@b.example", false, true},
		{model.PurposeActivation, "ann@b.example", false, true},
	} {
		if got := reach(c.purpose, c.to, c.confirmed); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if again := (&model.Mail{Purpose: model.PurposeActivation, Attempts: 1}); !a.mayReach(t.Context(), again, "bob@b.example", []*model.Account{{}}) {
		t.Error("a mail that is tried again is counted again")
	}
	now = now.Add(time.Minute)
	if !reach(model.PurposeActivation, "bob@b.example", false) {
		t.Error("still too many")
	}
}
