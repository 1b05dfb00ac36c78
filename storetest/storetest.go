// Package storetest checks that a store keeps the promises of model.Store.
//
// A store's own test calls Run:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) model.Store { … })
//	}
package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// Run checks a store. Each subtest calls open for an empty store. Some close it and call
// open again with the same t: then it must be the same store with the same content.
func Run(t *testing.T, open func(t *testing.T) model.Store) {
	groups := []struct {
		name     string
		promises []promise
	}{
		{"accounts", accountPromises},
		{"changes", changePromises},
		{"tokens", tokenPromises},
		{"children", childPromises},
		{"sessions", sessionPromises},
		{"named tokens", namedPromises},
		{"second factors", factorPromises},
		{"mails", mailPromises},
		{"reindex", reindexPromises},
		{"reserved", reservedPromises},
		{"invitations", invitationPromises},
		{"concurrency", concurrencyPromises},
		{"life", lifePromises},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, p := range g.promises {
				t.Run(p.name, func(t *testing.T) {
					s := &suite{T: t, ctx: t.Context(), reopen: open}
					s.open()
					defer func() { s.Store.Close() }()
					p.check(s)
				})
			}
		})
	}
}

// promise is a promise of every store, and its test.
type promise struct {
	name  string
	check func(*suite)
}

// suite is a store under test, with helpers.
type suite struct {
	*testing.T
	model.Store
	ctx    context.Context
	reopen func(t *testing.T) model.Store
}

func (s *suite) open() {
	s.Helper()
	s.Store = s.reopen(s.T)
}

// restart closes the store and opens it again.
func (s *suite) restart() {
	s.Helper()
	s.must(s.Store.Close())
	s.open()
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// is checks that an error is the wanted one.
func (s *suite) is(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("the error is %v, want %v", err, want)
	}
}

// taken checks that an error says that a field is taken.
func (s *suite) taken(err error, field string) {
	s.Helper()
	var taken *model.TakenError
	if !errors.As(err, &taken) || taken.Field != field {
		s.Fatalf("the error is %v, want that %s is taken", err, field)
	}
}

func (s *suite) equal(got, want any) {
	s.Helper()
	if !reflect.DeepEqual(got, want) {
		s.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// base is the time from which the tests count.
var base = time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)

// user is an account with a unique username, not yet stored.
func user(name string) *model.Account {
	return &model.Account{
		Username:   name,
		Email:      name + "@example.com",
		Password:   "!",
		IsActive:   true,
		DateJoined: base,
		Keys:       []model.Key{username(name)},
	}
}

func username(name string) model.Key { return model.Key{Field: "username", Value: name} }

// create stores a new account.
func (s *suite) create(name string) *model.Account {
	s.Helper()
	a := user(name)
	s.must(s.Commit(s.ctx, &model.Change{Account: a}))
	return a
}

// createUnder stores a new account under the user model of a signature.
func (s *suite) createUnder(signature string, a *model.Account) {
	s.Helper()
	s.must(s.Commit(s.ctx, &model.Change{Account: a, Signature: signature}))
}

// account reads an existing account.
func (s *suite) account(id uint64) *model.Account {
	s.Helper()
	a, err := s.Account(s.ctx, id)
	s.must(err)
	return a
}

// holder returns the id of the account that holds a unique key, or zero.
func (s *suite) holder(key model.Key) uint64 {
	s.Helper()
	a, err := s.AccountByKey(s.ctx, key)
	if errors.Is(err, model.ErrNotFound) {
		return 0
	}
	s.must(err)
	return a.ID
}

// byEmail returns the ids of the accounts with an address.
func (s *suite) byEmail(email string, limit int) []uint64 {
	s.Helper()
	found, err := s.AccountsByEmail(s.ctx, email, limit)
	s.must(err)
	return ids(found)
}

// token is a token with its own digest that never expires.
func token(owner uint64, n int) *model.Token {
	return &model.Token{
		Digest:  digest(owner, n),
		Account: owner,
		Created: base.Add(time.Duration(n) * time.Second),
		Address: "192.0.2.1",
		Agent:   "storetest",
		Method:  model.MethodProvider,
	}
}

func digest(owner uint64, n int) model.Digest {
	var d model.Digest
	copy(d[:], fmt.Sprintf("%d/%d", n, owner))
	return d
}

// child is a token that a log-in was handed over to.
func child(parent *model.Token, n int, host string) *model.Token {
	t := token(parent.Account, n)
	t.Created, t.Expires, t.Parent, t.Host = parent.Created, parent.Expires, parent.Digest, host
	return t
}

// handOver stores a child.
func (s *suite) handOver(parent *model.Token, n int, host string) *model.Token {
	s.Helper()
	t := child(parent, n, host)
	s.must(s.Commit(s.ctx, &model.Change{Token: t, Serial: s.account(parent.Account).Serial, NoLogin: true}))
	return t
}

// found checks that a token is read unchanged.
func (s *suite) found(t *model.Token) {
	s.Helper()
	got, _, err := s.Token(s.ctx, t.Digest)
	s.must(err)
	s.equal(got, t)
}

// login stores a token of an account.
func (s *suite) login(a *model.Account, n int) *model.Token {
	s.Helper()
	t := token(a.ID, n)
	s.must(s.Commit(s.ctx, &model.Change{Token: t, Serial: a.Serial}))
	return t
}

// tokens returns the numbers of an account's tokens, in order.
func (s *suite) tokens(owner uint64) []int {
	s.Helper()
	tokens, err := s.Tokens(s.ctx, owner)
	s.must(err)
	numbers := []int{}
	for _, t := range tokens {
		numbers = append(numbers, int(t.Created.Sub(base)/time.Second))
		got, a, err := s.Token(s.ctx, t.Digest)
		s.must(err)
		s.equal(got, t)
		s.equal(a.ID, owner)
	}
	return numbers
}

// noToken checks that no token has a digest.
func (s *suite) noToken(d model.Digest) {
	s.Helper()
	_, _, err := s.Token(s.ctx, d)
	s.is(err, model.ErrNotFound)
}

// mail is a mail that is not stored yet.
func mail(owner uint64, due time.Time) *model.Mail {
	return &model.Mail{Account: owner, Purpose: model.PurposePasswordReset, Protocol: "https", Created: base, Due: due}
}

// post stores a mail.
func (s *suite) post(m *model.Mail) *model.Mail {
	s.Helper()
	s.must(s.Commit(s.ctx, &model.Change{Mails: []*model.Mail{m}}))
	return m
}

// mails returns the mails that are due at a time.
func (s *suite) mails(at time.Time, limit int) []*model.Mail {
	s.Helper()
	mails, err := s.Mails(s.ctx, at, limit)
	s.must(err)
	return mails
}

// due returns the ids of the mails that are due at a time.
func (s *suite) due(at time.Time, limit int) []uint64 {
	s.Helper()
	return mailIDs(s.mails(at, limit))
}

// latest returns the ids of the latest mails that are due at a time.
func (s *suite) latest(at time.Time, limit int) []uint64 {
	s.Helper()
	mails, err := s.LatestMails(s.ctx, at, limit)
	s.must(err)
	return mailIDs(mails)
}

func mailIDs(mails []*model.Mail) []uint64 {
	list := []uint64{}
	for _, m := range mails {
		list = append(list, m.ID)
	}
	return list
}

// counted returns the store's counts, without its size.
func (s *suite) counted() model.Stats {
	s.Helper()
	st, err := s.Stats(s.ctx)
	s.must(err)
	st.Bytes = 0
	return st
}

func ids(accounts []*model.Account) []uint64 {
	list := []uint64{}
	for _, a := range accounts {
		list = append(list, a.ID)
	}
	return list
}

// usernames returns the names of all accounts, in order of id.
func (s *suite) usernames() []string {
	s.Helper()
	names := []string{}
	for after := uint64(0); ; {
		page, err := s.Accounts(s.ctx, after, 7)
		s.must(err)
		if len(page) == 0 {
			return names
		}
		for _, a := range page {
			names = append(names, a.Username)
		}
		after = page[len(page)-1].ID
		if !slices.IsSorted(ids(page)) {
			s.Fatal("accounts are not in order of id")
		}
	}
}
