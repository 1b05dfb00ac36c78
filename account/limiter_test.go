package account

import (
	"strconv"
	"testing"
	"time"
)

func TestALimiterAllowsNoMoreInAnyWindow(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLimiter(func() time.Time { return now })
	key := limitKey{"x"}
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
		if wait, ok := l.allow(limit{key, rates}); wait != step.wait || ok != (wait == 0) {
			t.Errorf("at %s: wait %s, %t, want %s", now.Sub(time.Unix(1000, 0)), wait, ok, step.wait)
		}
	}
}

func TestALimiterCountsUnderAllKeysOrNone(t *testing.T) {
	l := newLimiter(time.Now)
	a, b := limit{limitKey{"a"}, []Rate{{1, time.Hour}}}, limit{limitKey{"b"}, []Rate{{2, time.Hour}}}
	for i, want := range []bool{true, false, false} {
		if _, ok := l.allow(a, b); ok != want {
			t.Errorf("%d: %t", i, ok)
		}
	}
	if _, ok := l.allow(b); !ok {
		t.Error("a refused request was counted under the other key")
	}
	l.refund(a.key)
	if _, ok := l.allow(a); !ok {
		t.Error("what was taken back is counted")
	}
}

func TestALimiterIsBounded(t *testing.T) {
	l := newLimiter(time.Now)
	l.max = 100
	rates := []Rate{{10, time.Hour}}
	for i := range 1000 {
		for range 5 {
			l.allow(limit{limitKey{"flood", strconv.Itoa(i)}, rates})
		}
		l.allow(limit{limitKey{"steady"}, rates})
		if l.times > l.max || len(l.byKey) != l.recent.Len() || len(l.byKey) > l.max {
			t.Fatalf("%d times of %d keys", l.times, len(l.byKey))
		}
	}
	if _, ok := l.allow(limit{limitKey{"steady"}, rates}); ok {
		t.Error("a key in use was forgotten")
	}
}
