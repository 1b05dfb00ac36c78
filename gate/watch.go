package gate

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// watchEvery is how often requests that go on are looked at again.
	watchEvery = 4 * time.Second

	// watchFor is how long the store has for that, for all of them together.
	watchFor = time.Second

	// Watchers are how many are looked at at once, so that one that takes its
	// time doesn't keep the others.
	Watchers = 8
)

// watch looks from time to time whether the requests that are being served may
// go on. All share one timer, since almost no request lives to see it, and are
// in a list that costs them no memory.
type watch struct {
	mu      sync.Mutex // guards what follows
	ticking bool
	first   *gatedWriter
}

// begin starts to watch a request.
func (t *watch) begin(w *gatedWriter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.next = t.first; w.next != nil {
		w.next.prev = w
	}
	t.first = w
	if !t.ticking {
		t.ticking = true
		time.AfterFunc(watchEvery, t.tick)
	}
}

// end stops watching a request, whose ResponseWriter isn't used from here on.
// Most requests were never looked at, and nobody else knows of them.
func (t *watch) end(w *gatedWriter) {
	if t.remove(w) {
		w.finish()
	}
	if w.cancel != nil {
		w.cancel()
	}
}

// remove takes a request out of the list, and tells whether it was looked at.
func (t *watch) remove(w *gatedWriter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.next != nil {
		w.next.prev = w.prev
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		t.first = w.next
	}
	w.prev, w.next = nil, nil // or one that is kept would keep all others
	return w.seen
}

func (t *watch) tick() {
	next := time.Now().Add(watchEvery)
	t.look()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticking = t.first != nil; t.ticking {
		time.AfterFunc(time.Until(next), t.tick)
	}
}

// look looks at all requests, and ends those that may not go on.
func (t *watch) look() {
	ctx, cancel := context.WithTimeout(context.Background(), watchFor)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(Watchers)
	for _, w := range t.current() {
		group.Go(func() error {
			w.look(ctx)
			return nil
		})
	}
	_ = group.Wait() // none has an error
}

// look ends a request that may not go on: at once if that is known, the second
// time if the store can't tell.
func (w *gatedWriter) look(ctx context.Context) {
	allowed, err := w.gate.stillAllowed(ctx, w.caller)
	if !allowed && (err == nil || w.unsure) {
		w.stop()
	}
	w.unsure = err != nil
}

// current are the requests that are being served now. They may end while they
// are looked at.
func (t *watch) current() []*gatedWriter {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*gatedWriter
	for w := t.first; w != nil; w = w.next {
		w.seen = true
		all = append(all, w)
	}
	return all
}
