package account

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

func TestALinkIsForOneThingOnly(t *testing.T) {
	l := testLinks()
	acc := &model.Account{ID: 7, Serial: 3}
	token := l.sign(model.PurposeActivation, acc, "a@b.example")
	if !l.check(model.PurposeActivation, acc, "a@b.example", token) {
		t.Fatal("the link is not good")
	}
	stamp, mac, _ := strings.Cut(token, "-")
	for name, ok := range map[string]bool{
		"another purpose": l.check(model.PurposePasswordReset, acc, "a@b.example", token),
		"another address": l.check(model.PurposeActivation, acc, "A@b.example", token),
		"another account": l.check(model.PurposeActivation, &model.Account{ID: 8, Serial: 3}, "a@b.example", token),
		"a used link":     l.check(model.PurposeActivation, &model.Account{ID: 7, Serial: 4}, "a@b.example", token),
		"upper case":      l.check(model.PurposeActivation, acc, "a@b.example", strings.ToUpper(token)),
		"a later time":    l.check(model.PurposeActivation, acc, "a@b.example", stamp+"0-"+mac),
		"another writing": l.check(model.PurposeActivation, acc, "a@b.example", "0"+token),
		"a sign":          l.check(model.PurposeActivation, acc, "a@b.example", "+"+token),
		"no mac":          l.check(model.PurposeActivation, acc, "a@b.example", stamp+"-"),
		"a longer mac":    l.check(model.PurposeActivation, acc, "a@b.example", token+"00"),
		"nothing":         l.check(model.PurposeActivation, acc, "a@b.example", ""),
	} {
		if ok {
			t.Errorf("%s is good", name)
		}
	}
	l.Now = func() time.Time { return time.Unix(1_700_000_000, 0).Add(l.TTL) }
	if l.check(model.PurposeActivation, acc, "a@b.example", token) {
		t.Error("the link is good after its time")
	}
}

// FuzzLink offers uids and tokens: no uid but the canonical one and no token
// but the signed one is taken.
func FuzzLink(f *testing.F) {
	l := testLinks()
	acc := &model.Account{ID: 1, Serial: 1}
	good := l.sign(model.PurposePasswordReset, acc, "a@b.example")
	f.Add("MQ", good)
	f.Add("MQ==", strings.ToUpper(good))
	f.Add("", "-")
	f.Add("\xff", "1y2p0ij32e8e7-"+strings.Repeat("0", 40))
	f.Fuzz(func(t *testing.T, uid, token string) {
		if id, ok := decodeUID(uid); ok && EncodeUID(id) != uid {
			t.Errorf("%q is another uid of %d", uid, id)
		}
		if l.check(model.PurposePasswordReset, acc, "a@b.example", token) && token != good {
			t.Errorf("%q is good", token)
		}
		if d, ok := model.DigestOf(token); ok && (len(token) != model.TokenLength || d == model.Digest{}) {
			t.Errorf("%q has a digest", token)
		}
	})
}

func testLinks() *Links {
	return &Links{Key: []byte(strings.Repeat("k", 32)), TTL: 72 * time.Hour, Now: func() time.Time { return time.Unix(1_700_000_000, 0) }}
}

func TestUIDsAreDjangos(t *testing.T) {
	for id, uid := range map[uint64]string{1: "MQ", 42: "NDI", math.MaxUint64: "MTg0NDY3NDQwNzM3MDk1NTE2MTU"} {
		if got := EncodeUID(id); got != uid {
			t.Errorf("%d: %s, want %s", id, got, uid)
		}
		if got, ok := decodeUID(uid); !ok || got != id {
			t.Errorf("%s: %d, %t", uid, got, ok)
		}
	}
	for _, uid := range []string{"", "MQ==", "MR", " MQ", "MQ\n", "KzE", "MDE", "LTE", "MTg0NDY3NDQwNzM3MDk1NTE2MTY", "M/", strings.Repeat("M", 1000), "\xff\xff"} {
		if id, ok := decodeUID(uid); ok {
			t.Errorf("%q is taken for %d", uid, id)
		}
	}
}

func TestLongLinksThatNothingParses(t *testing.T) {
	long := strings.Repeat("ü", 1<<20)
	link := testLinks()
	for name, parse := range map[string]func() bool{
		"uid":   func() bool { _, ok := decodeUID(long); return ok },
		"token": func() bool { return link.check(model.PurposeActivation, &model.Account{}, "", long) },
	} {
		if n := testing.AllocsPerRun(10, func() { parse() }); parse() || n != 0 {
			t.Errorf("%s: taken, or %v allocations", name, n)
		}
	}
}
