package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/caddy-djoser/djoser"
)

// mixedLoad reads tokens, logs in and registers, and returns the memory at its
// highest.
func mixedLoad(s djoser.Store) (highest float64) {
	ctx := context.Background()
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				highest = max(highest, anonymous())
			}
		}
	}()
	first := rand.IntN(1 << 40)
	rate(64, func(n int) error {
		var err error
		switch k := 1 + rand.IntN(*accounts); {
		case n%10 == 0:
			return s.Commit(ctx, account(first+n))
		case n%10 == 1:
			t := token(first + n)
			t.Account = uint64(k)
			err = s.Commit(ctx, &djoser.Change{Token: t, TokenLimit: 20})
		default:
			_, _, err = s.Token(ctx, digest(k))
		}
		if errors.Is(err, djoser.ErrNotFound) {
			return nil
		}
		return err
	})
	close(stop)
	return max(highest, anonymous())
}
