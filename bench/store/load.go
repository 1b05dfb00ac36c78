//go:build unix

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// writesPerSecond is the rate of writes in the mixed load: several times what two cores
// can do, since each login costs a hash.
const writesPerSecond = 500

// mixedLoad reads tokens as fast as it can while it logs in and registers, and returns
// the highest memory.
func mixedLoad(s model.Store) (highest float64) {
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
	start := time.Now()
	var writes atomic.Int64
	rate(64, func(n int) error {
		var err error
		due := time.Since(start).Seconds()*writesPerSecond > float64(writes.Load())
		switch k := 1 + rand.IntN(*accounts); {
		case due && writes.Add(1)%2 == 0:
			return s.Commit(ctx, creation(first+n))
		case due:
			t := token(first + n)
			t.Account = uint64(k)
			err = s.Commit(ctx, &model.Change{Token: t, TokenLimit: 20})
		default:
			_, _, err = s.Token(ctx, digest(k))
		}
		if errors.Is(err, model.ErrNotFound) {
			return nil
		}
		return err
	})
	close(stop)
	return max(highest, anonymous())
}
