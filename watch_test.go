package djoser

import (
	"context"
	"errors"
	"testing"
)

type contextKey struct{}

// The context of a gated request is a context like any other, whoever asks it
// before and after it ends.
func TestALateCancelIsAContextThatCanBeCancelled(t *testing.T) {
	for name, test := range map[string]struct {
		early bool // somebody waits before the end
		end   func(parent context.CancelFunc, c *lateCancel)
	}{
		"cancelled":                        {false, func(_ context.CancelFunc, c *lateCancel) { c.cancel() }},
		"cancelled while somebody waits":   {true, func(_ context.CancelFunc, c *lateCancel) { c.cancel() }},
		"parent ends":                      {false, func(parent context.CancelFunc, _ *lateCancel) { parent() }},
		"parent ends while somebody waits": {true, func(parent context.CancelFunc, _ *lateCancel) { parent() }},
	} {
		t.Run(name, func(t *testing.T) {
			parent, cancel := context.WithCancel(context.WithValue(context.Background(), contextKey{}, "value"))
			defer cancel()
			c := &lateCancel{Context: parent}
			waiting := []context.Context{c}
			wait := func() {
				child, stop := context.WithCancel(c)
				t.Cleanup(stop)
				waiting = append(waiting, child)
			}
			if test.early {
				wait()
			}
			if c.Err() != nil || c.Value(contextKey{}) != "value" {
				t.Fatalf("before: %v, %v", c.Err(), c.Value(contextKey{}))
			}
			test.end(cancel, c)
			wait()
			for _, ctx := range waiting {
				<-ctx.Done()
			}
			if !errors.Is(c.Err(), context.Canceled) || c.Value(contextKey{}) != "value" {
				t.Errorf("after: %v, %v", c.Err(), c.Value(contextKey{}))
			}
		})
	}
}
