package mail

import (
	"slices"
	"testing"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/throttle"
)

func TestMailsTakeTurns(t *testing.T) {
	const reset, activation = model.PurposePasswordReset, model.PurposeActivation
	for name, test := range map[string]struct {
		mails []*model.Mail
		want  []uint64
	}{
		"networks, accounts and addresses": {[]*model.Mail{
			{ID: 1, Account: 1, Source: "a"}, {ID: 2, Account: 2, Source: "a"}, {ID: 3, Account: 3, Source: "a"},
			{ID: 4, Account: 3, Source: "b"}, {ID: 5, Account: 4, Attempts: 1}, {ID: 6, Account: 5}, {ID: 7, Account: 6, Source: "c"},
			{ID: 8, Address: "a@b.example"}, {ID: 9, Address: "a@b.example"},
		}, []uint64{1, 6, 8, 2, 4, 5, 9, 3, 7}},
		"purposes": {[]*model.Mail{
			{ID: 1, Account: 1, Purpose: activation}, {ID: 2, Account: 2, Purpose: activation}, {ID: 3, Account: 3, Purpose: activation},
			{ID: 4, Account: 4, Purpose: reset, Attempts: 1}, {ID: 5, Account: 5, Purpose: reset}, {ID: 6, Account: 6, Purpose: reset},
		}, []uint64{1, 5, 2, 6, 3, 4}},
	} {
		var ids []uint64
		for _, m := range takeTurns(test.mails, map[string]int{"c": 9}) {
			ids = append(ids, m.ID)
		}
		if !slices.Equal(ids, test.want) {
			t.Errorf("%s: got %v, want %v", name, ids, test.want)
		}
	}
	for address, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2::3%eth0": "2001:db8:1::/48", "": "", "@": "",
	} {
		if got := throttle.Source(address); got != want {
			t.Errorf("%s: %q", address, got)
		}
	}
}
