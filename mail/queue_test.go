package mail

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
)

func TestMailsTakeTurns(t *testing.T) {
	due := time.Unix(1, 0)
	queue := enqueue(nil, []*account.Mail{
		{ID: 1, Account: 1, Source: "a", Due: due}, {ID: 2, Account: 2, Source: "a", Due: due}, {ID: 3, Account: 3, Source: "a", Due: due},
		{ID: 4, Account: 3, Source: "b", Due: due}, {ID: 5, Account: 4, Due: due, Attempts: 1},
		{ID: 6, Account: 5, Due: due}, {ID: 7, Account: 6, Source: "c", Due: due},
	}, map[string]int{"c": 9})
	queue = enqueue(queue, []*account.Mail{{ID: 6}, {ID: 8, Account: 8, Due: due}}, map[string]int{"c": 9})
	var ids []uint64
	for _, m := range queue {
		ids = append(ids, m.ID)
	}
	if want := []uint64{1, 6, 8, 2, 4, 5, 3, 7}; !slices.Equal(ids, want) {
		t.Errorf("got %v, want %v", ids, want)
	}
	for address, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24", "2001:db8:1:2::3%eth0": "2001:db8:1::/48", "": "", "@": "",
	} {
		if got := account.Source(address); got != want {
			t.Errorf("%s: %q", address, got)
		}
	}
}
