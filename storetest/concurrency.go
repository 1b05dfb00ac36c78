package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// together runs a function in n goroutines and waits for them.
func together(n int, fn func(n int)) {
	var group sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	group.Wait()
}

// update changes an account, and retries when other updates come first.
func (s *suite) update(id uint64, change func(*model.Change)) error {
	for {
		a, err := s.Account(s.ctx, id)
		if err != nil {
			return err
		}
		c := &model.Change{Account: a}
		change(c)
		if err := s.Commit(s.ctx, c); !errors.Is(err, model.ErrConflict) {
			return err
		}
	}
}

var concurrencyPromises = []promise{
	{"one of many concurrent registrations of a name wins", func(s *suite) {
		for round := range 5 {
			var won atomic.Int32
			name := fmt.Sprintf("ann%d", round)
			together(64, func(int) {
				err := s.Commit(s.ctx, &model.Change{Account: user(name)})
				var taken *model.TakenError
				switch {
				case err == nil:
					won.Add(1)
				case !errors.As(err, &taken):
					s.Error(err)
				}
			})
			s.equal(won.Load(), int32(1))
		}
		s.equal(s.counted().Accounts, uint64(5))
	}},
	{"concurrent registrations get different ids", func(s *suite) {
		var names sync.Map
		together(64, func(n int) {
			for i := range 4 {
				a := user(fmt.Sprintf("user%d-%d", n, i))
				if err := s.Commit(s.ctx, &model.Change{Account: a, Token: token(0, n*4+i)}); err != nil {
					s.Error(err)
					return
				}
				if other, twice := names.LoadOrStore(a.ID, a.Username); twice {
					s.Errorf("id %d is %v and %s", a.ID, other, a.Username)
				}
			}
		})
		s.equal(s.counted(), model.Stats{Accounts: 256, Tokens: 256})
		names.Range(func(id, name any) bool {
			s.equal(s.account(id.(uint64)).Username, name)
			return true
		})
	}},
	{"a thousand writers at once succeed", func(s *suite) {
		together(1000, func(n int) {
			if err := s.Commit(s.ctx, &model.Change{Account: user(fmt.Sprint(n))}); err != nil {
				s.Error(err)
			}
		})
		s.equal(s.counted().Accounts, uint64(1000))
	}},
	{"no update is lost", func(s *suite) {
		a := user("ann")
		a.Fields = map[string]any{"n": int64(0)}
		s.must(s.Commit(s.ctx, &model.Change{Account: a}))
		together(16, func(int) {
			for range 8 {
				err := s.update(a.ID, func(c *model.Change) {
					c.Account.Fields["n"] = c.Account.Fields["n"].(int64) + 1
				})
				if err != nil {
					s.Error(err)
				}
			}
		})
		s.equal(s.account(a.ID).Fields["n"], int64(128))
	}},
	{"a login concurrent with a new password doesn't survive it", func(s *suite) {
		a := s.create("ann")
		for round := range 20 {
			serial := s.account(a.ID).Serial
			together(5, func(n int) {
				var err error
				if n == 0 {
					err = s.update(a.ID, func(c *model.Change) {
						c.Account.Serial++
						c.EndTokens = true
					})
				} else {
					err = s.Commit(s.ctx, &model.Change{Token: token(a.ID, round*10+n), Serial: serial})
				}
				if err != nil && !errors.Is(err, model.ErrConflict) {
					s.Error(err)
				}
			})
			s.equal(s.tokens(a.ID), []int{})
		}
		s.equal(s.counted().Tokens, uint64(0))
	}},
	{"a reader sees a change whole or not at all", func(s *suite) {
		a := s.create("ann")
		var (
			over    atomic.Bool
			readers sync.WaitGroup
		)
		for range 4 {
			readers.Go(func() {
				for !over.Load() {
					tokens, err := s.Tokens(s.ctx, a.ID)
					if err != nil || len(tokens) > 1 {
						s.Errorf("%d tokens at once, error %v", len(tokens), err)
						return
					}
					b, err := s.Account(s.ctx, a.ID)
					if err != nil || b.Username != b.Keys[0].Value {
						s.Errorf("%+v has another's key, error %v", b, err)
						return
					}
					got, err := s.AccountByKey(s.ctx, b.Keys[0])
					if err == nil && got.Keys[0] != b.Keys[0] {
						s.Errorf("%v is found by %v", got.Keys, b.Keys)
					}
				}
			})
		}
		for n := range 100 {
			s.must(s.Commit(s.ctx, &model.Change{Token: token(a.ID, n), TokenLimit: 1}))
			s.must(s.update(a.ID, func(c *model.Change) {
				c.Account.Username = fmt.Sprint(n)
				c.Account.Keys = []model.Key{username(fmt.Sprint(n))}
			}))
		}
		over.Store(true)
		readers.Wait()
	}},
	{"a committed change is visible at once", func(s *suite) {
		together(16, func(n int) {
			for i := range 10 {
				a := user(fmt.Sprintf("%d-%d", n, i))
				if err := s.Commit(s.ctx, &model.Change{Account: a}); err != nil {
					s.Error(err)
					return
				}
				if _, err := s.Account(s.ctx, a.ID); err != nil {
					s.Errorf("own account %d: %v", a.ID, err)
				}
			}
		})
	}},
	{"a cancelled change is not committed later", func(s *suite) {
		together(32, func(n int) {
			for i := range 10 {
				ctx, cancel := context.WithTimeout(s.ctx, time.Duration(n*50)*time.Microsecond)
				a := user(fmt.Sprintf("%d-%d", n, i))
				err := s.Commit(ctx, &model.Change{Account: a, Token: token(0, n*10+i)})
				cancel()
				_, readErr := s.AccountByKey(s.ctx, a.Keys[0])
				switch {
				case err == nil && readErr != nil:
					s.Errorf("%s was committed: %v", a.Username, readErr)
				case err != nil && !errors.Is(err, context.DeadlineExceeded):
					s.Error(err)
				case err != nil && !errors.Is(readErr, model.ErrNotFound):
					s.Errorf("%s was given up, and reads with error %v", a.Username, readErr)
				}
			}
		})
		st := s.counted()
		s.equal(st.Tokens, st.Accounts)
	}},
}
