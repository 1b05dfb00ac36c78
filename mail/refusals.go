package mail

import (
	"container/list"
	"hash/maphash"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// refusals tells a mail server that refuses everybody from one that refuses
// some recipients, which an attacker may have chosen for that.
type refusals struct {
	seed     maphash.Seed
	accepted map[uint64]struct{} // hashes of recipients whose mail was accepted
	recent   list.List           // the same hashes, the newest first
	domains  map[string]struct{} // of recipients refused since the last accepted mail
	known    bool                // one of those had received mail before
}

const (
	// maxAccepted is how many recipients are remembered.
	maxAccepted = 10_000

	// refusedDomains is how many unrelated domains must be refused before the
	// server may be at fault.
	refusedDomains = 3
)

func newRefusals() *refusals {
	return &refusals{seed: maphash.MakeSeed(), accepted: make(map[uint64]struct{}), domains: make(map[string]struct{})}
}

// accept notes that the server accepted the mail to a recipient.
func (r *refusals) accept(to string) {
	clear(r.domains)
	r.known = false
	hash := maphash.String(r.seed, to)
	if _, ok := r.accepted[hash]; ok {
		return
	}
	r.accepted[hash] = struct{}{}
	r.recent.PushFront(hash)
	if r.recent.Len() > maxAccepted {
		delete(r.accepted, r.recent.Remove(r.recent.Back()).(uint64))
	}
}

// refuse notes that the server refused a recipient, and reports whether the
// server seems to be at fault.
func (r *refusals) refuse(to string) bool {
	if _, ok := r.accepted[maphash.String(r.seed, to)]; ok {
		r.known = true
	}
	if len(r.domains) < refusedDomains {
		r.domains[registeredDomain(domainOf(to))] = struct{}{}
	}
	return r.known && len(r.domains) >= refusedDomains
}

// registeredDomain is the part of a domain that somebody registered. Its owner
// can have any number of domains below it.
func registeredDomain(domain string) string {
	domain = strings.ToLower(domain)
	if registered, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return registered
	}
	return domain
}
