package authn

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAnAssertionIsForWhatItIsAbout(t *testing.T) {
	now := time.Now()
	about := AssertionAbout{Realm: new(Authenticator), Audience: "a", Host: "a.example"}
	id := new(Identity)
	if _, ok := id.Assertion(&about, now); ok {
		t.Error("there is one before it was kept")
	}
	id.KeepAssertion(about, "signed", now, now.Add(time.Minute))
	for after, want := range map[time.Duration]bool{0: true, time.Minute - 1: true, time.Minute: false, -1: false} {
		if signed, ok := id.Assertion(&about, now.Add(after)); ok != want || ok && signed != "signed" {
			t.Errorf("after %s: %q, %t", after, signed, ok)
		}
	}
	for name, change := range map[string]func(*AssertionAbout){
		"another configuration": func(a *AssertionAbout) { a.Realm = new(Authenticator) },
		"another audience":      func(a *AssertionAbout) { a.Audience = "b" },
		"another host":          func(a *AssertionAbout) { a.Host = "b.example" },
		"another scheme":        func(a *AssertionAbout) { a.HTTPS = true },
		"unconfirmed addresses": func(a *AssertionAbout) { a.Unconfirmed = true },
	} {
		other := about
		change(&other)
		if _, ok := id.Assertion(&other, now); ok {
			t.Errorf("%s: it is taken", name)
		}
	}
}

// Clients may choose the host.
func TestFewAssertionsAreKept(t *testing.T) {
	now := time.Now()
	id := new(Identity)
	for n := range 100 {
		id.KeepAssertion(AssertionAbout{Host: fmt.Sprint(n)}, "signed", now, now.Add(time.Minute))
	}
	if n := len(*id.assertions.Load()); n != maxAssertions {
		t.Errorf("%d are kept", n)
	}
	if _, ok := id.Assertion(&AssertionAbout{Host: "99"}, now); !ok {
		t.Error("the last one isn't kept")
	}
	long := AssertionAbout{Host: strings.Repeat("a", maxAssertionHost+1)}
	id.KeepAssertion(long, "signed", now, now.Add(time.Minute))
	if _, ok := id.Assertion(&long, now); ok {
		t.Error("one for a host that is too long is kept")
	}
	later := now.Add(time.Minute)
	id.KeepAssertion(AssertionAbout{Host: "new"}, "signed", later, later.Add(time.Minute))
	if n := len(*id.assertions.Load()); n != 1 {
		t.Errorf("%d are kept after the others ended", n)
	}
}
