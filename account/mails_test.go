package account

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/throttle"
)

func TestAccountsThatAMailNames(t *testing.T) {
	account := func(id uint64, email string, confirmed bool) *Account {
		return &Account{ID: id, Email: email, EmailConfirmed: confirmed, IsActive: true, Password: "hash"}
	}
	waiting := func(id uint64, email string) *Account {
		return &Account{ID: id, Email: email, PendingEmail: email, Password: "hash"}
	}
	gone := account(9, "ann@a.example", true)
	gone.IsActive = false
	none := account(8, "ann@a.example", true)
	none.Password = "!"
	for _, c := range []struct {
		name    string
		purpose Purpose
		asked   string
		found   []*Account
		to      string
		ids     []uint64
	}{
		{"nobody", PurposePasswordReset, "ann@a.example", nil, "", nil},
		{"all", PurposePasswordReset, "ann@a.example", []*Account{account(1, "ann@a.example", false), account(2, "ann@a.example", false)}, "ann@a.example", []uint64{1, 2}},
		{"the confirmed", PurposePasswordReset, "ann@a.example", []*Account{account(1, "ann@a.example", false), account(2, "ann@a.example", true), account(3, "ann@a.example", true)}, "ann@a.example", []uint64{2, 3}},
		{"who can't have a reset doesn't count", PurposePasswordReset, "ann@a.example", []*Account{account(1, "ann@a.example", false), none, gone}, "ann@a.example", []uint64{1}},
		{"as it was asked for", PurposePasswordReset, "ann@a.example", []*Account{account(1, "ANN@a.example", false), account(2, "ann@a.example", false)}, "ann@a.example", []uint64{2}},
		{"as it is stored", PurposePasswordReset, "aNN@a.example", []*Account{account(1, "ANN@a.example", false), account(2, "ann@a.example", false)}, "ANN@a.example", []uint64{1}},
		{"as a version before stored it", PurposePasswordReset, "ann@a.example", []*Account{account(1, "ann@A.example", false)}, "ann@A.example", []uint64{1}},
		{"who waits", PurposeActivation, "ann@a.example", []*Account{account(1, "ann@a.example", true), waiting(2, "ann@a.example"), waiting(3, "ann@a.example")}, "ann@a.example", []uint64{2, 3}},
	} {
		named, to := (&Service{}).chooseNamed(&Mail{Purpose: c.purpose, Address: c.asked}, c.found)
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
		var many []*Account
		for id := range uint64(100) {
			many = append(many, account(id+1, "ann@a.example", false))
		}
		chosen, _ := (&Service{}).chooseNamed(&Mail{Purpose: PurposePasswordReset, Address: "ann@a.example"}, many)
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
	a := &Service{Rates: new(throttle.Settings), Throttles: NewThrottles(func() time.Time { return now })}
	reach := func(p Purpose, to string, confirmed bool) bool {
		return a.mayReach(&Mail{Purpose: p}, to, []*Account{{EmailConfirmed: confirmed}})
	}
	for i, purpose := range []Purpose{PurposeActivation, PurposeEmailChange, PurposeActivation, PurposePasswordReset, PurposeActivation} {
		if !reach(purpose, fmt.Sprintf("Bob+%d@b.example", i), false) {
			t.Errorf("mail %d is too many", i)
		}
	}
	for _, c := range []struct {
		purpose   Purpose
		to        string
		confirmed bool
		want      bool
	}{
		{PurposeActivation, "bob@b.example", false, false},
		{PurposeActivation, "BOB+x+y@B.example", false, false},
		{PurposeActivation, "b.o.b@b.example", false, false},
		{PurposePasswordReset, "bob+x@b.example", false, false},
		// What the owner has a claim to.
		{PurposePasswordReset, "bob@b.example", false, true},
		{PurposePasswordReset, "bob+x@b.example", true, true},
		{PurposeEmailNotice, "bob@b.example", false, true},
		{PurposeActivation, "ann@b.example", false, true},
	} {
		if got := reach(c.purpose, c.to, c.confirmed); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if again := (&Mail{Purpose: PurposeActivation, Attempts: 1}); !a.mayReach(again, "bob@b.example", []*Account{{}}) {
		t.Error("a mail that is tried again is counted again")
	}
	now = now.Add(time.Minute)
	if !reach(PurposeActivation, "bob@b.example", false) {
		t.Error("still too many")
	}
}
