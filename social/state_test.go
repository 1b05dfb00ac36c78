package social

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var key = []byte(strings.Repeat("k", 32))

func anything(string) bool { return true }

func TestAStateIsGoodForTenMinutes(t *testing.T) {
	p := New(Config{Name: "github", Kind: GitHub})
	made := time.Now()
	p.now = func() time.Time { return made }
	state := newState(p, Start{RedirectURI: "https://a.example/", Browser: "cookie"}).sign(key)
	for after, good := range map[time.Duration]bool{
		0: true, StateTTL - 2*time.Second: true, StateTTL: false, 24 * time.Hour: false, -time.Hour: false,
	} {
		p.now = func() time.Time { return made.Add(after) }
		if _, err := p.Check(key, Answer{Code: "c", State: state, Takes: anything}); (err == nil) != good {
			t.Errorf("after %s: %v", after, err)
		}
	}
	p.now = func() time.Time { return made }
	if _, err := p.Check([]byte(strings.Repeat("x", 32)), Answer{Code: "c", State: state, Takes: anything}); !errors.Is(err, ErrState) {
		t.Errorf("another key: %v", err)
	}
	if _, err := p.Check(key, Answer{Code: "c", State: state, Takes: anything, Browser: "other"}); !errors.Is(err, ErrState) {
		t.Errorf("another browser: %v", err)
	}
}

func TestUsedStatesAreForgottenAfterTheirTime(t *testing.T) {
	var u used
	now := time.Now()
	if !u.take("a", now) || u.take("a", now) {
		t.Error("a state is good once")
	}
	u.giveBack("a")
	if !u.take("a", now) {
		t.Error("not given back")
	}
	for n := range maxUsed {
		u.take(strings.Repeat("x", n%7)+time.Duration(n).String(), now)
	}
	if len(u.until) > maxUsed {
		t.Errorf("%d states", len(u.until))
	}
	if u.take("later", now.Add(time.Hour)); len(u.until) != 1 {
		t.Errorf("%d states are left", len(u.until))
	}
}

func FuzzState(f *testing.F) {
	p := New(Config{Name: "github", Kind: GitHub})
	good := newState(p, Start{RedirectURI: "https://a.example/"}).sign(key)
	f.Add(good)
	f.Add(".")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parseState(key, text); (err == nil) != (text == good) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func TestCheckURL(t *testing.T) {
	for text, good := range map[string]bool{
		"https://id.example.com": true, "https://id.example.com/realms/a": true, "http://localhost:8080": true, "http://127.0.0.1": true,
		"http://id.example.com": false, "id.example.com": false, "https://": false, "https://u:p@id.example.com": false, "https://id.example.com?x": false,
		"https://id.example.com/.well-known/openid-configuration": false, "ftp://localhost": false,
	} {
		if err := CheckURL(text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
