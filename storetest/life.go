package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// everything calls each method of the store.
func (s *suite) everything(ctx context.Context) map[string]error {
	errs := make(map[string]error)
	_, errs["Account"] = s.Account(ctx, 1)
	_, errs["AccountByKey"] = s.AccountByKey(ctx, username("ann"))
	_, errs["AccountsByEmail"] = s.AccountsByEmail(ctx, "ann@example.com", 1)
	_, errs["Accounts"] = s.Accounts(ctx, 0, 1)
	_, _, errs["Token"] = s.Token(ctx, digest(1, 1))
	_, errs["Tokens"] = s.Tokens(ctx, 1)
	errs["Commit"] = s.Commit(ctx, &model.Change{Account: user("new")})
	errs["TouchTokens"] = s.TouchTokens(ctx, map[model.Digest]time.Time{digest(1, 1): base})
	_, errs["Mails"] = s.Mails(ctx, base, 1)
	_, errs["LatestMails"] = s.LatestMails(ctx, base, 1)
	errs["PutMail"] = s.PutMail(ctx, &model.Mail{ID: 1, Due: base})
	errs["DeleteMail"] = s.DeleteMail(ctx, 1)
	errs["Reindex"] = s.Reindex(ctx, "new", emailKeys)
	_, errs["LinkKey"] = s.LinkKey(ctx)
	_, errs["Stats"] = s.Stats(ctx)
	return errs
}

// use writes or reads until the store is closed. It returns the accounts whose changes
// were acknowledged, and calls wrote after each.
func (s *suite) use(writer string, reader bool, wrote func()) (confirmed []*model.Account) {
	for i := 0; ; i++ {
		var err error
		if reader {
			_, err = s.Accounts(s.ctx, 0, 50)
			_, tokensErr := s.Tokens(s.ctx, 1)
			_, statsErr := s.Stats(s.ctx)
			err = errors.Join(err, tokensErr, statsErr)
		} else {
			a := user(fmt.Sprintf("%s-%d", writer, i))
			if err = s.Commit(s.ctx, &model.Change{Account: a}); err == nil {
				confirmed = append(confirmed, a)
				wrote()
			}
		}
		if err != nil {
			if !errors.Is(err, model.ErrClosed) {
				s.Error(err)
			}
			return confirmed
		}
	}
}

var lifePromises = []promise{
	{"everything survives a restart", func(s *suite) {
		ann, bob := s.create("ann"), user("bob")
		m := mail(0, base)
		s.must(s.Commit(s.ctx, &model.Change{Account: bob, Token: token(0, 4), Mails: []*model.Mail{m}}))
		one, two := s.login(ann, 1), s.login(ann, 2)
		s.must(s.Commit(s.ctx, &model.Change{EndToken: &one.Digest}))
		ann = s.account(ann.ID)
		before := s.counted()
		for range 3 {
			s.restart()
			s.equal(s.counted(), before)
			s.equal(s.account(ann.ID), ann)
			s.equal(s.account(bob.ID), bob)
			s.equal(s.holder(username("bob")), bob.ID)
			s.equal(s.byEmail("BOB@example.com", 9), []uint64{bob.ID})
			s.equal(s.tokens(ann.ID), []int{2})
			s.equal(s.tokens(bob.ID), []int{4})
			s.noToken(one.Digest)
			got, _, err := s.Token(s.ctx, two.Digest)
			s.must(err)
			s.equal(got, two)
			s.equal(s.mails(base, 9), []*model.Mail{m})
		}
	}},
	{"the link key is random, long, and never changes", func(s *suite) {
		linkKey := func() []byte {
			key, err := s.LinkKey(s.ctx)
			s.must(err)
			return key
		}
		first := linkKey()
		if len(first) != 32 || string(first) == string(make([]byte, 32)) {
			s.Fatalf("the key is %x", first)
		}
		changed := linkKey()
		changed[0]++
		s.equal(linkKey(), first)
		s.restart()
		s.equal(linkKey(), first)
	}},
	{"a closed store returns ErrClosed", func(s *suite) {
		s.create("ann")
		s.must(s.Store.Close())
		for name, err := range s.everything(s.ctx) {
			if !errors.Is(err, model.ErrClosed) {
				s.Errorf("%s of a closed store: %v", name, err)
			}
		}
	}},
	{"a cancelled context is an error", func(s *suite) {
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		for name, err := range s.everything(ctx) {
			if !errors.Is(err, context.Canceled) {
				s.Errorf("%s with a cancelled context: %v", name, err)
			}
		}
		s.equal(s.counted(), model.Stats{})
	}},
	{"a store can be closed while it is in use", func(s *suite) {
		for round := range 3 {
			var (
				lock      sync.Mutex
				confirmed []*model.Account
				group     sync.WaitGroup
				once      sync.Once
				wrote     = make(chan struct{})
			)
			for n := range 24 {
				group.Go(func() {
					made := s.use(fmt.Sprintf("%d-%d", round, n), n%3 == 0, func() { once.Do(func() { close(wrote) }) })
					lock.Lock()
					defer lock.Unlock()
					confirmed = append(confirmed, made...)
				})
			}
			select {
			case <-wrote:
			case <-time.After(10 * time.Second):
				s.Error("nothing was written")
			}
			time.Sleep(50 * time.Millisecond)
			together(2, func(int) {
				if err := s.Store.Close(); err != nil {
					s.Error(err)
				}
			})
			group.Wait()
			s.open()
			for _, a := range confirmed {
				s.equal(s.account(a.ID), a)
			}
		}
	}},
}
