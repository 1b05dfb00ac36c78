//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/caddy-djoser/djoser/model"
	badgerstore "github.com/caddy-djoser/djoser/stores/badger"
	"go.uber.org/zap"
)

// The child opens the store and does what it reads from its standard input, a line
// each:
//
//	load <n>        write, with accounts from number n, until the end
//	look <n> <id>   remember an account to look for
//	found           look for them
//	check           let the store check itself
//	close           close the store, and end
//
// It writes to its standard output
//
//	open, or refused <error>
//	did <n> <step> <id> <time>   a step of account n is acknowledged; when it was asked for
//	failed <error>               a step isn't
//	found <n> <letters>          what was found of an account
//	fault <text>                 a fault that check found
//	end                          of what found and check say

// A step of an account. Each is one transaction.
type step int

const (
	registered step = iota + 1
	loggedIn        // the first token
	again           // the second token
	ending          // asked to end the second token
	ended           // it was ended
	steps
)

// closeFailed is the exit code of a child whose store couldn't be closed well.
const closeFailed = 3

// writers is the number of changes at a time.
const writers = 32

// padding makes accounts large, so that the store soon has tables.
var padding = strings.Repeat("padding ", 512)

func username(n int) string { return fmt.Sprintf("user-%d", n) }

func digest(n int, which step) model.Digest {
	return sha256.Sum256(fmt.Appendf(nil, "token %d of %d", which, n))
}

// changesPassword reports whether the second token of an account is ended by a
// change of password. The others log out.
func changesPassword(n int) bool { return n%2 == 1 }

var (
	oldPassword = "old" + strings.Repeat("0", 100)
	newPassword = "new" + strings.Repeat("0", 100)
)

func runChild(dir string) {
	signal.Ignore(os.Interrupt, syscall.SIGTERM) // sent to both; the parent ends this process
	config := zap.NewProductionConfig()
	config.Sampling = nil
	config.Level.SetLevel(zap.WarnLevel)
	logger, err := config.Build(zap.AddStacktrace(zap.DPanicLevel))
	if err != nil {
		log.Fatal(err)
	}
	b := badgerstore.Store{Path: dir}
	s, err := b.Open(context.Background(), dir, logger)
	if err != nil {
		say("refused", oneLine(err))
		return
	}
	if *control {
		if err := neverFlush(); err != nil {
			log.Fatal(err)
		}
	}
	say("open")
	wanted := make(map[int]uint64)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var (
			n    int
			id   uint64
			word string
		)
		fmt.Sscan(lines.Text(), &word, &n, &id)
		switch word {
		case "load":
			for w := range writers {
				go write(s, n+w)
			}
		case "look":
			wanted[n] = id
		case "found":
			go find(s, wanted)
			wanted = make(map[int]uint64)
		case "check":
			go check(s)
		case "close":
			if s.Close() != nil {
				os.Exit(closeFailed)
			}
			return
		}
	}
}

func say(words ...any) { fmt.Println(words...) }

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// write registers accounts, logs them in twice, and ends the second token.
func write(s model.Store, n int) {
	ctx := context.Background()
	for ; ; n += writers {
		a := &model.Account{
			Username: username(n), Email: username(n) + "@example.com", Password: oldPassword, IsActive: true,
			Fields: map[string]any{"note": padding},
			Keys:   []model.Key{{Field: "username", Value: username(n)}},
		}
		token := func(which step) *model.Change {
			return &model.Change{Token: &model.Token{Digest: digest(n, which), Account: a.ID, Created: time.Now()}}
		}
		do := func(done step, change func() (*model.Change, error)) bool {
			asked := time.Now()
			c, err := change()
			if err == nil {
				err = s.Commit(ctx, c)
			}
			if err != nil {
				say("failed", oneLine(err))
				time.Sleep(10 * time.Millisecond)
				return false
			}
			say("did", n, int(done), a.ID, asked.UnixNano())
			return true
		}
		if !do(registered, func() (*model.Change, error) { return &model.Change{Account: a}, nil }) ||
			!do(loggedIn, func() (*model.Change, error) { return token(loggedIn), nil }) ||
			!do(again, func() (*model.Change, error) { return token(again), nil }) {
			continue
		}
		say("did", n, int(ending), a.ID, time.Now().UnixNano())
		do(ended, func() (*model.Change, error) {
			if !changesPassword(n) {
				extra := digest(n, again)
				return &model.Change{EndToken: &extra}, nil
			}
			stored, err := s.Account(ctx, a.ID)
			if err != nil {
				return nil, err
			}
			stored.Password = newPassword
			return &model.Change{Account: stored, EndTokens: true, Keep: digest(n, loggedIn)}, nil
		})
	}
}

// The letters of what was found.
const (
	there    = 'y'
	missing  = '-'
	failed   = '!' // an error that says so
	free     = 'F' // a name that another account could take
	outdated = 'o' // the password before its change
)

func letter(err error) rune {
	switch {
	case err == nil:
		return there
	case errors.Is(err, model.ErrNotFound):
		return missing
	}
	return failed
}

// find looks for accounts: in the list of all, by id, by name; then for the
// first and the second token, and for the new password.
func find(s model.Store, wanted map[int]uint64) {
	ctx := context.Background()
	listed := make(map[uint64]bool)
	inList := func(id uint64) rune {
		if listed[id] {
			return there
		}
		return missing
	}
	for last := uint64(0); ; {
		page, err := s.Accounts(ctx, last, 1000)
		if err != nil {
			inList = func(uint64) rune { return failed }
		}
		if len(page) == 0 {
			break
		}
		for _, a := range page {
			listed[a.ID], last = true, a.ID
		}
	}
	var (
		group sync.WaitGroup
		slots = make(chan struct{}, 8)
	)
	for n, id := range wanted {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			key := model.Key{Field: "username", Value: username(n)}
			a, errID := s.Account(ctx, id)
			named, errName := s.AccountByKey(ctx, key)
			_, _, errFirst := s.Token(ctx, digest(n, loggedIn))
			_, _, errSecond := s.Token(ctx, digest(n, again))
			found := []rune{inList(id), letter(errID), letter(errName), letter(errFirst), letter(errSecond), letter(errID)}
			if errID == nil && a.Username != username(n) {
				found[1], found[5] = missing, missing
			}
			if errName == nil && named.ID != id {
				found[2] = missing
			}
			if errID == nil && a.Password == oldPassword {
				found[5] = outdated
			}
			if errName != nil && s.Commit(ctx, &model.Change{Account: &model.Account{Username: username(n), IsActive: true, Keys: []model.Key{key}}}) == nil {
				found[2] = free
			}
			say("found", n, string(found))
		})
	}
	group.Wait()
	say("end")
}

func check(s model.Store) {
	b, _ := model.As[model.BackupStore](s)
	_, err := b.Check(context.Background(), "", nil, func(fault string) { say("fault", fault) })
	if err != nil {
		say("fault", oneLine(err))
	}
	say("end")
}
