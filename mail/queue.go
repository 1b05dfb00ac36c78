package mail

import (
	"cmp"
	"container/list"
	"hash/maphash"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"golang.org/x/net/publicsuffix"
)

// shares are the names under which a mail takes its turn.
func shares(m *account.Mail) []string {
	whose := strconv.FormatUint(m.Account, 10)
	if m.Account == 0 {
		whose = m.Address
	}
	if m.Source == "" {
		return []string{whose}
	}
	return []string{whose, m.Source}
}

// enqueue adds mails to those that wait for their turn, and puts them in order:
// who causes many mails, or mails that fail, lets the others go first. failed
// is how many mails failed by share.
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
		for _, share := range shares(m) {
			turn = max(turn, next[share])
			next[share]++
		}
		turns[m.ID] = turn + m.Attempts
	}
	slices.SortStableFunc(queue, func(a, b *account.Mail) int { return cmp.Compare(turns[a.ID], turns[b.ID]) })
	return queue
}

// refusals tells a mail server that refuses everybody from one that refuses
// some recipients, who may have been chosen for that.
type refusals struct {
	seed    maphash.Seed
	taken   map[uint64]struct{} // recipients of mails that were taken, by hash
	recent  list.List           // of them, the newest at the front
	domains map[string]struct{} // of recipients refused since then
	known   bool                // one of those got a mail before
}

const (
	// maxTaken bounds how many recipients are remembered.
	maxTaken = 10_000

	// refusedDomains is how many domains without anything in common are
	// refused before the fault may be the server's.
	refusedDomains = 3
)

func newRefusals() *refusals {
	return &refusals{seed: maphash.MakeSeed(), taken: make(map[uint64]struct{}), domains: make(map[string]struct{})}
}

// accepted notes that the mail to a recipient was taken.
func (r *refusals) accepted(to string) {
	clear(r.domains)
	r.known = false
	hash := maphash.String(r.seed, to)
	if _, ok := r.taken[hash]; ok {
		return
	}
	r.taken[hash] = struct{}{}
	r.recent.PushFront(hash)
	if r.recent.Len() > maxTaken {
		delete(r.taken, r.recent.Remove(r.recent.Back()).(uint64))
	}
}

// refused notes that a recipient was refused, and reports whether the fault seems
// to be the server's.
func (r *refusals) refused(to string) bool {
	if _, ok := r.taken[maphash.String(r.seed, to)]; ok {
		r.known = true
	}
	if len(r.domains) < refusedDomains {
		r.domains[ownedDomain(domainOf(to))] = struct{}{}
	}
	return r.known && len(r.domains) >= refusedDomains
}

// ownedDomain is the part of a domain that somebody registered, since its owner
// makes as many below it as he likes.
func ownedDomain(domain string) string {
	domain = strings.ToLower(domain)
	if owned, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return owned
	}
	return domain
}
