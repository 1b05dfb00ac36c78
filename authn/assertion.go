package authn

import (
	"slices"
	"time"
)

// AssertionAbout is what an assertion depends on besides the identity.
type AssertionAbout struct {
	Realm       *Authenticator // a reload makes another
	Audience    string
	Unconfirmed bool // has unconfirmed addresses
	HTTPS       bool // of the request
	Host        string
}

// keptAssertion is an assertion that requests share.
type keptAssertion struct {
	about        AssertionAbout
	signed       string
	since, until time.Time
}

const (
	maxAssertions    = 4   // of an identity
	maxAssertionHost = 255 // bytes of the host, which the client may have chosen
)

// Assertion returns the assertion that was kept, if it still may be used.
func (id *Identity) Assertion(about *AssertionAbout, now time.Time) (signed string, ok bool) {
	kept := id.assertions.Load()
	if kept == nil {
		return "", false
	}
	for i := range *kept {
		if a := &(*kept)[i]; a.about == *about {
			return a.signed, a.isCurrent(now)
		}
	}
	return "", false
}

func (a *keptAssertion) isCurrent(now time.Time) bool {
	return !now.Before(a.since) && now.Before(a.until)
}

// KeepAssertion keeps an assertion for other requests of the identity. It goes with the
// identity when the account or the token changes. Of two that are kept at the same time,
// one may be lost.
func (id *Identity) KeepAssertion(about AssertionAbout, signed string, since, until time.Time) {
	if len(about.Host) > maxAssertionHost {
		return
	}
	var others []keptAssertion
	if kept := id.assertions.Load(); kept != nil {
		others = slices.DeleteFunc(slices.Clone(*kept), func(a keptAssertion) bool {
			return a.about == about || !a.isCurrent(since)
		})
	}
	all := append([]keptAssertion{{about, signed, since, until}}, others...)
	all = all[:min(len(all), maxAssertions)]
	id.assertions.Store(&all)
}
