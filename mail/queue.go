package mail

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

const (
	// maxLatest is how many of the latest mails are read at once, and maxWaiting how
	// many of the others.
	maxLatest  = 256
	maxWaiting = 100_000
)

// queue are mails that were read and not tried yet. A mail is in one of its lists only.
type queue struct {
	latest  []*model.Mail // read anew when mails have come in
	waiting []*model.Mail // read anew when it is empty

	turnOfWaiting bool
}

func (q *queue) empty() bool { return len(q.latest) == 0 && len(q.waiting) == 0 }

// next returns the next mail, or nil. The lists take turns: people wait for the latest
// mails, however many came before, and those are sent too, however many come in.
func (q *queue) next() *model.Mail {
	list := &q.latest
	if len(q.waiting) > 0 && (q.turnOfWaiting || len(q.latest) == 0) {
		list = &q.waiting
	}
	if len(*list) == 0 {
		return nil
	}
	m := (*list)[0]
	*list = (*list)[1:]
	q.turnOfWaiting = list == &q.latest
	return m
}

// read fills the queue with mails that are due. With retryAll, it includes those that
// wait to be retried.
func (o *Outbox) read(retryAll bool) error {
	now := o.now()
	o.lastRead = time.Now()
	latest, err := o.store.LatestMails(o.running, now, maxLatest)
	if err != nil {
		return err
	}
	latest = without(latest, o.queue.waiting)
	if len(o.queue.waiting) == 0 {
		waiting, err := o.dueMails(now, retryAll)
		if err != nil {
			return err
		}
		o.queue.waiting = takeTurns(without(waiting, latest), o.failed)
	}
	o.queue.latest = takeTurns(latest, o.failed)
	return nil
}

// dueMails returns mails that are due, the first one first.
func (o *Outbox) dueMails(now time.Time, retryAll bool) ([]*model.Mail, error) {
	if retryAll {
		return o.store.Mails(o.running, endOfTime, maxWaiting)
	}
	due, err := o.store.Mails(o.running, now, maxWaiting)
	if err != nil {
		return nil, err
	}
	last, err := o.store.LatestMails(o.running, endOfTime, maxLatest)
	for _, m := range last {
		if m.Due.Sub(now) > longestPause { // the clock was set back meanwhile
			due = append(due, m)
		}
	}
	return due, err
}

// without returns the mails that are not among the others.
func without(mails, others []*model.Mail) []*model.Mail {
	ids := make(map[uint64]struct{}, len(mails))
	for _, m := range mails {
		ids[m.ID] = struct{}{}
	}
	for _, m := range others {
		delete(ids, m.ID)
	}
	return slices.DeleteFunc(mails, func(m *model.Mail) bool {
		_, ok := ids[m.ID]
		return !ok
	})
}

// flows are what mails take turns by: the account or address, and the client's
// network.
func flows(m *model.Mail) []string {
	recipient := strconv.FormatUint(m.Account, 10)
	if m.Account == 0 {
		recipient = m.Address
	}
	if m.Source == "" {
		return []string{recipient}
	}
	return []string{recipient, m.Source}
}

// takeTurns sorts mails so that flows take turns: one with many mails, or with mails that
// fail, lets others go first. In each turn, so do purposes. failed is the number of failed
// mails by flow.
func takeTurns(mails []*model.Mail, failed map[string]int) []*model.Mail {
	type group struct {
		turn    int
		purpose model.Purpose
	}
	type place struct{ turn, inGroup int }
	next := maps.Clone(failed)
	size := make(map[group]int)
	places := make(map[uint64]place, len(mails))
	for _, m := range mails {
		turn := 0
		for _, flow := range flows(m) {
			turn = max(turn, next[flow])
			next[flow]++
		}
		g := group{turn + m.Attempts, m.Purpose}
		places[m.ID] = place{g.turn, size[g]}
		size[g]++
	}
	slices.SortStableFunc(mails, func(a, b *model.Mail) int {
		p, q := places[a.ID], places[b.ID]
		return cmp.Or(cmp.Compare(p.turn, q.turn), cmp.Compare(p.inGroup, q.inGroup))
	})
	return mails
}
