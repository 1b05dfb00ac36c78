package throttle

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestALimiterAllowsNoMoreInAnyWindow(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(func() time.Time { return now })
	key := Key{"x"}
	rates := []Rate{{2, 10 * time.Second}, {3, time.Minute}}
	for _, step := range []struct {
		after time.Duration
		wait  time.Duration
	}{
		{0, 0},
		{4 * time.Second, 0},
		{time.Second, 5 * time.Second}, // the first leaves the short window
		{4 * time.Second, time.Second}, // refusals don't count
		{time.Second, 0},
		{time.Second, 49 * time.Second}, // until the first leaves the long one
		{49 * time.Second, 0},
	} {
		now = now.Add(step.after)
		if wait, ok := l.Allow(Limit{key, rates}); wait != step.wait || ok != (wait == 0) {
			t.Errorf("at %s: wait %s, %t, want %s", now.Sub(time.Unix(1000, 0)), wait, ok, step.wait)
		}
	}
}

func TestALimiterCountsUnderAllKeysOrNone(t *testing.T) {
	l := New(time.Now)
	a, b := Limit{Key{"a"}, []Rate{{1, time.Hour}}}, Limit{Key{"b"}, []Rate{{2, time.Hour}}}
	for i, want := range []bool{true, false, false} {
		if _, ok := l.Allow(a, b); ok != want {
			t.Errorf("%d: %t", i, ok)
		}
	}
	if _, ok := l.Allow(b); !ok {
		t.Error("a refused request was counted under the other key")
	}
	l.Refund(a.Key)
	if _, ok := l.Allow(a); !ok {
		t.Error("what was taken back is counted")
	}
}

func TestALimiterIsBounded(t *testing.T) {
	l := New(time.Now)
	rates := []Rate{{10, time.Hour}}
	for i := range maxTimes / 4 {
		for range 5 {
			l.Allow(Limit{Key{"flood", strconv.Itoa(i)}, rates})
		}
		l.Allow(Limit{Key{"steady"}, rates})
		if l.times > maxTimes || len(l.byKey) != l.recent.Len() || len(l.byKey) > maxTimes {
			t.Fatalf("%d times of %d keys", l.times, len(l.byKey))
		}
	}
	if _, ok := l.Allow(Limit{Key{"steady"}, rates}); ok {
		t.Error("a key in use was forgotten")
	}
}

func TestAddressesAreCountedInTheirNetworks(t *testing.T) {
	for address, want := range map[string][]string{
		"192.0.2.7":                       {"192.0.2.7", "192.0.2.0/24"},
		"::ffff:192.0.2.7":                {"192.0.2.7", "192.0.2.0/24"},
		"64:ff9b::192.0.2.7":              {"192.0.2.7", "192.0.2.0/24"},
		"2002:c000:207:1::9":              {"192.0.2.7", "192.0.2.0/24"}, // 6to4
		"2001:0:102:304:0:ffff:3fff:fdf8": {"192.0.2.7", "192.0.2.0/24"}, // Teredo
		"2001:db8:1:2345:1:2:3:4":         {"2001:db8:1:2345::/64", "2001:db8:1:2300::/56", "2001:db8:1::/48"},
		"fe80::1%eth0":                    {"fe80::/64", "fe80::/56", "fe80::/48"},
		"":                                {""},
		"@":                               {""},
	} {
		var got []string
		for _, s := range Networks(address) {
			got = append(got, s.Network)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q is counted in %q, want %q", address, got, want)
		}
	}
}
