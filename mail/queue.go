package mail

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/caddy-djoser/djoser/account"
)

// flows are what mails take turns by: the account or address, and the client's
// network.
func flows(m *account.Mail) []string {
	recipient := strconv.FormatUint(m.Account, 10)
	if m.Account == 0 {
		recipient = m.Address
	}
	if m.Source == "" {
		return []string{recipient}
	}
	return []string{recipient, m.Source}
}

// enqueue adds mails to the queue, and sorts it so that flows take turns: one
// with many mails, or with mails that fail, lets others go first. failed is the
// number of failed mails by flow.
func enqueue(queue, mails []*account.Mail, failed map[string]int) []*account.Mail {
	queued := make(map[uint64]struct{}, len(queue))
	for _, m := range queue {
		queued[m.ID] = struct{}{}
	}
	for _, m := range mails {
		if _, ok := queued[m.ID]; !ok {
			queue = append(queue, m)
		}
	}
	slices.SortFunc(queue, func(a, b *account.Mail) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) })

	next := maps.Clone(failed)
	turns := make(map[uint64]int, len(queue))
	for _, m := range queue {
		turn := 0
		for _, flow := range flows(m) {
			turn = max(turn, next[flow])
			next[flow]++
		}
		turns[m.ID] = turn + m.Attempts
	}
	slices.SortStableFunc(queue, func(a, b *account.Mail) int { return cmp.Compare(turns[a.ID], turns[b.ID]) })
	return queue
}
