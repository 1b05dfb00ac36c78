package djoser

import (
	"net/http"
	"slices"
	"strings"
)

// rule is a difference from the recorded djoser that is meant.
type rule struct {
	name   string
	reason string
	cases  map[string]bool // that it touched
}

var rules []*rule

func newRule(name, reason string) *rule {
	r := &rule{name: name, reason: reason, cases: make(map[string]bool)}
	rules = append(rules, r)
	return r
}

var (
	ruleSettings = newRule("settings that mails need are checked at the start",
		"a setting that is missing, or a URL without {uid} and {token}, was found out by the user whose mail could not be made, or whose link did nothing")
	ruleNotFound = newRule("404 is JSON, and reads \"Not found.\"",
		"a client of a JSON API can't read an HTML page")
	ruleSlash = newRule("a slash at the end is accepted",
		"front ends write the paths of either djoser, with and without it")
	ruleRoot = newRule("the root lists the endpoints, for GET only",
		"djoser did so two months later")
	ruleLineBreak = newRule("a line break at the end of a path is no part of any endpoint",
		"it passed only because of the way a regular expression ends")
	ruleOverride = newRule("the method is that of the request line",
		"_method, _content and X-HTTP-Method-Override let a plain form, or a cached GET, do what the route does not allow")
	ruleHTML = newRule("who asks for HTML is answered in JSON",
		"there is no browsable API; the old one failed with 500 where its files were not installed")
	ruleNonASCII = newRule("a token that isn't ASCII is an invalid token",
		"it was a 500")
	ruleSurrogate = newRule("a password with half a character is refused",
		"a lone surrogate was a 500; no account can have such a password")
	ruleNoBoundary = newRule("a multipart body without boundary is a parse error",
		"it was a 500")
	ruleExtra = newRule("extra members of a registration are ignored",
		"they reached the account: 500 for unknown ones, rights and foreign ids for known ones")
	ruleZeroName = newRule("0 and false are no usernames",
		"they were a 500")
	ruleTaken = newRule("a taken name is refused on change as on registration",
		"it was a 500")
	ruleChecks = newRule("the checks of a registration hold for a change",
		"a name or a password that was too long, or a name of forbidden characters, was stored, and locked the account out")
	ruleNewline = newRule("a line break at the end of a username is refused",
		"it passed only because of the way a regular expression ends")
	ruleParseText = newRule("the text after \"parse error\" is our own",
		"it described Python's parser")
	ruleUIDText = newRule("the text of a bad uid is our own",
		"it showed Python's exceptions")
	ruleUIDForm = newRule("a uid is taken in its canonical form only",
		"one account had many uids")
	ruleActivate = newRule("activation takes uid and token",
		"the route led to the wrong view, which wanted a new password; the documented contract holds")
	ruleInactive = newRule("an account is inactive until activated where activation mails are sent",
		"the mail had no effect; later versions of djoser do this")
	ruleActivationAddress = newRule("an address is required where activation mails are sent",
		"the mail went to nobody")
	ruleLogins = newRule("each login has its own token",
		"a device can be logged out alone, and a digest can't be given out again")
	ruleResetEnds = newRule("a password reset ends the account's tokens",
		"whoever stole the account stayed in it")
	ruleLinks = newRule("a link is good once, for one purpose and one address, while the account is active",
		"activation and reset links were the same, and outlived a change of address and a deactivation")
	ruleNotice = newRule("an address that an account gives up is told of it",
		"whoever stole a token could make the account theirs unnoticed")
	ruleNFKC = newRule("usernames are NFKC-normalised",
		"two accounts could have names that look alike; later versions of Django do this")
	ruleUsernameForm = newRule("a username holds a letter or a digit, and begins with neither a dot nor a hyphen",
		"back ends make paths and commands of usernames, and there .. is the folder of everybody, and -x an option")
	ruleAddressLength = newRule("an address has 254 characters at most",
		"no mail server takes more, and the work of checking it grew with the square of its length")
	ruleBlank = newRule("a blank address is an empty one",
		"a space was stored as an address")
	ruleDomain = newRule("the domain of an address is lower-cased wherever it is set",
		"only registration did it")
	ruleLastLogin = newRule("last_login is the time of the last login, and none before the first",
		"it was the time of registration; later versions do this")
)

// Known from djoser's code, but no case here shows them.
var unseenRules = []*rule{ruleNewline, ruleActivationAddress}

// expect applies the rules to what was recorded.
func (r *replay) expect(q *recordedRequest, recorded expectation) expectation {
	r.t.Helper()
	w := r.world
	e := recorded
	differ := func(to expectation, why *rule) {
		if q.Method == http.MethodHead {
			to.body = emptyBody{}
		}
		if why == nil {
			why = w.cause
		}
		if e.equal(to) {
			return
		}
		if why == nil {
			r.t.Errorf("no rule says why %s %s %q\nwas recorded as %v\n but expected as %v", q.Method, q.Path, q.text(), e, to)
			return
		}
		r.touch(why)
		if success(e) != success(to) {
			w.diverge(why)
		}
		e = to
	}

	place, ep := q.route()
	switch {
	case place == outside:
		return expectation{status: e.status, allow: e.allow, www: e.www, body: anyBody{}}
	case place == atRoot:
		to := w.root(q, r.server.host(r.site))
		differ(to, ruleRoot)
		return e
	case ep == nil, q.lineBreak():
		why := ruleNotFound
		if q.lineBreak() && e.status != http.StatusNotFound {
			why = ruleLineBreak
		}
		differ(expectation{status: http.StatusNotFound, body: detailOf("Not found.")}, why)
		return e
	}

	if e.status == http.StatusNotFound && e.body != (anyBody{}) { // of an unknown format
		to := e
		to.body = detailOf("Not found.")
		differ(to, ruleNotFound)
		return e
	}

	sense, why := w.sense(q, ep, e)
	switch {
	case e.status == http.StatusNotFound: // a page: the route was not known
		differ(sense, ruleSlash)
	case e.status == http.StatusInternalServerError:
		if why == nil {
			why = q.fault()
		}
		differ(sense, why)
	case q.overridden():
		differ(sense, ruleOverride)
	default:
		differ(sense, why)
	}

	if object, ok := e.body.(map[string]any); ok && e.status == http.StatusBadRequest {
		if text, ok := object["detail"].(string); ok {
			if start, _, ok := strings.Cut(text, "parse error"); ok {
				r.touch(ruleParseText)
				e.body = map[string]any{"detail": prefixText(start + "parse error")}
			}
		}
	}
	return e
}

func success(e expectation) bool { return e.status/100 == 2 }

// fault is the rule for what the old stack failed on.
func (q *recordedRequest) fault() *rule {
	switch {
	case slices.ContainsFunc(q.headerValues("Authorization"), func(s string) bool { return !isASCIIText(s) }):
		return ruleNonASCII
	case strings.Contains(strings.Join(q.headerValues("Accept"), ","), "text/html"), q.query("format") == "api":
		return ruleHTML
	case q.mediaType() == "multipart/form-data" && !strings.Contains(q.header("Content-Type"), "boundary="):
		return ruleNoBoundary
	case q.loneSurrogate():
		return ruleSurrogate
	}
	return nil
}

func isASCIIText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
