package mail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/emersion/go-smtp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// quickTimes are the times of an outbox in tests.
var quickTimes = outboxTimes{
	retryPause: 20 * time.Millisecond,
	reread:     100 * time.Millisecond,
	send:       300 * time.Millisecond,
	grace:      100 * time.Millisecond,
	close:      300 * time.Millisecond,
}

func testStore(t *testing.T, dir string) model.Store {
	t.Helper()
	s, err := new(badger.Store).Open(context.Background(), dir, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// putMails commits a mail for each of n new accounts, as registrations do, and
// returns the ids of the accounts.
func putMails(t *testing.T, s model.Store, n int, due time.Time) []uint64 {
	t.Helper()
	return putMailsFrom(t, s, n, due, "")
}

// putMailsFrom is putMails for the clients of a network.
func putMailsFrom(t *testing.T, s model.Store, n int, due time.Time, source string) []uint64 {
	t.Helper()
	return putCopies(t, s, n, model.Mail{Purpose: model.PurposeActivation, Protocol: "https", Source: source, Created: time.Now(), Due: due})
}

// putCopies is putMails for copies of a mail.
func putCopies(t *testing.T, s model.Store, n int, m model.Mail) []uint64 {
	t.Helper()
	ids := make([]uint64, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			name := fmt.Sprintf("u%d-%d", i, time.Now().UnixNano())
			a := &model.Account{Username: name, Email: name + "@example.com", Keys: []model.Key{{Field: "username", Value: name}}}
			m := m
			if err := s.Commit(context.Background(), &model.Change{Account: a, Mails: []*model.Mail{&m}}); err != nil {
				t.Error(err)
			}
			ids[i] = a.ID
		})
	}
	wg.Wait()
	return ids
}

// pending returns the mails in the outbox, due or not.
func pending(t *testing.T, s model.Store) []*model.Mail {
	t.Helper()
	mails, err := s.Mails(context.Background(), endOfTime, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return mails
}

// mailerFunc is a function as a mailer.
type mailerFunc func(ctx context.Context, m *Message) error

func (f mailerFunc) Send(ctx context.Context, m *Message) error { return f(ctx, m) }

// deliveryCount counts deliveries by recipient.
type deliveryCount struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *deliveryCount) add(to string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[to]++
	return c.n[to]
}

func (c *deliveryCount) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// recipientOf returns the address to which composeTo sends an account's mail.
func recipientOf(account uint64) string { return fmt.Sprintf("u%d@example.com", account) }

// composeTo makes a mail to recipientOf without reading the account.
func composeTo(_ context.Context, m *model.Mail) (*Message, error) {
	return testMessage(recipientOf(m.Account)), nil
}

// testOutbox runs an outbox over a store.
func testOutbox(t *testing.T, s model.Store, log *zap.Logger) *Outbox {
	t.Helper()
	if log == nil {
		log = zap.NewNop()
	}
	o := startOutbox(s, log, quickTimes)
	t.Cleanup(o.Close)
	return o
}

func TestOutboxSendsEachMailOnce(t *testing.T) {
	s := testStore(t, t.TempDir())
	var sent, delivered deliveryCount
	var busy atomic.Int32
	o := testOutbox(t, s, nil)
	defer o.Use(&Delivery{
		Compose: composeTo,
		Mailer: mailerFunc(func(_ context.Context, m *Message) error {
			if busy.Add(1) > 1 {
				t.Error("two sends at once")
			}
			defer busy.Add(-1)
			sent.add(m.To)
			return nil
		}),
		Delivered: func(m *model.Mail) { delivered.add(recipientOf(m.Account)) },
		Failed:    func(m *model.Mail, err error) { t.Errorf("failed: %v", err) },
	})()
	var ids []uint64
	for range 5 {
		ids = append(ids, putMails(t, s, 100, time.Now())...)
		o.Wake()
	}
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	for _, c := range []map[string]int{sent.all(), delivered.all()} {
		if len(c) != len(ids) {
			t.Errorf("%d of %d", len(c), len(ids))
		}
		for to, n := range c {
			if n != 1 {
				t.Errorf("%s: %d times", to, n)
			}
		}
	}
}

func TestOutboxDropsWhatNeedsNoMail(t *testing.T) {
	s := testStore(t, t.TempDir())
	ids := putMails(t, s, 2, time.Now())
	// A mail to an unknown address is not sent.
	if err := s.Commit(t.Context(), &model.Change{Mails: []*model.Mail{{Purpose: model.PurposePasswordReset, Created: time.Now(), Due: time.Now()}}}); err != nil {
		t.Fatal(err)
	}
	var sent deliveryCount
	o := testOutbox(t, s, nil)
	defer o.Use(&Delivery{
		Compose: func(ctx context.Context, m *model.Mail) (*Message, error) {
			if m.Account == 0 {
				t.Error("composed a mail to nobody")
			}
			if m.Account == ids[0] {
				return nil, nil // the account is active already
			}
			return composeTo(ctx, m)
		},
		Mailer:    mailerFunc(func(_ context.Context, m *Message) error { sent.add(m.To); return nil }),
		Delivered: func(m *model.Mail) { sent.add("hook " + recipientOf(m.Account)) },
		Failed:    func(m *model.Mail, err error) { t.Errorf("failed: %v", err) },
	})()
	testsite.Eventually(t, "all done", func() bool { return len(pending(t, s)) == 0 })
	if got := sent.all(); len(got) != 2 || got[recipientOf(ids[1])] != 1 || got["hook "+recipientOf(ids[1])] != 1 {
		t.Errorf("sent %v", got)
	}
}

func TestOutboxTriesAgainWithGrowingPauses(t *testing.T) {
	s := testStore(t, t.TempDir())
	putMails(t, s, 1, time.Now())
	var mu sync.Mutex
	var times []time.Time
	var ids []string
	o := testOutbox(t, s, nil)
	defer o.Use(&Delivery{
		Compose: composeTo,
		Mailer: mailerFunc(func(_ context.Context, m *Message) error {
			mu.Lock()
			defer mu.Unlock()
			times, ids = append(times, time.Now()), append(ids, m.ID)
			if len(times) < 5 {
				return errors.New("not now")
			}
			return nil
		}),
	})()
	testsite.Eventually(t, "sent", func() bool { return len(pending(t, s)) == 0 })
	if len(times) != 5 {
		t.Fatalf("%d attempts", len(times))
	}
	for i := range 4 {
		if pause, want := times[i+1].Sub(times[i]), quickTimes.retryPause<<i; pause < want {
			t.Errorf("pause %d was %s, want %s or more", i, pause, want)
		}
		if ids[i] != ids[4] || !strings.HasSuffix(ids[i], "@frontend.com") {
			t.Errorf("Message-IDs %q", ids)
		}
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{1: 2 * time.Second, 2: 4 * time.Second, 8: 256 * time.Second, 10: 15 * time.Minute, 40: 15 * time.Minute, 1000: 15 * time.Minute} {
		for range 100 {
			if got := backoff(2*time.Second, 15*time.Minute, n); got < want || got > want*5/4+1 {
				t.Errorf("pause %d is %s", n, got)
			}
		}
	}
}

func TestOutboxGivesUpLoudly(t *testing.T) {
	for name, c := range map[string]struct {
		mailer   Mailer
		attempts int // at least
	}{
		"after its time": {attempts: 3, mailer: retryingMailer{300 * time.Millisecond}},
		"at once if undeliverable": {attempts: 1, mailer: mailerFunc(func(_ context.Context, m *Message) error {
			return fmt.Errorf("%w: refused %s", ErrUndeliverable, m.Link)
		})},
	} {
		t.Run(name, func(t *testing.T) {
			s := testStore(t, t.TempDir())
			ids := putMails(t, s, 1, time.Now())
			core, logs := observer.New(zapcore.WarnLevel)
			o := testOutbox(t, s, zap.New(core))
			failed := make(chan error, 10)
			start := time.Now()
			defer o.Use(&Delivery{
				Compose: composeTo,
				Mailer:  c.mailer,
				Failed: func(m *model.Mail, err error) {
					if m.Account != ids[0] || m.Attempts < c.attempts {
						t.Errorf("gave up %+v", m)
					}
					failed <- err
				},
			})()
			err := <-failed
			if !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "secret-token") {
				t.Errorf("got %v", err)
			}
			if c.attempts > 1 && time.Since(start) < 250*time.Millisecond {
				t.Errorf("gave up after %s", time.Since(start))
			}
			testsite.Eventually(t, "deleted", func() bool { return len(pending(t, s)) == 0 })
			last := logs.All()[logs.Len()-1]
			if last.Level != zapcore.ErrorLevel || last.Message != "outbox: mail given up" || last.ContextMap()["account"] != ids[0] {
				t.Errorf("logged %v", last)
			}
			for _, e := range logs.All() {
				if strings.Contains(fmt.Sprint(e.Message, e.ContextMap()), "secret-token") {
					t.Errorf("the link is in the log: %v", e)
				}
			}
			if len(failed) > 0 {
				t.Error("gave up twice")
			}
		})
	}
}

type retryingMailer struct{ retry time.Duration }

func (retryingMailer) Send(context.Context, *Message) error { return errors.New("refused") }
func (m retryingMailer) RetryFor() time.Duration            { return m.retry }

// Whatever breaks for one mail, the others are sent, and it is retried.
func TestOutboxSurvives(t *testing.T) {
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	var composePanics, hangs atomic.Bool
	composePanics.Store(true)
	hangs.Store(true)
	for name, c := range map[string]struct {
		compose func(ctx context.Context, m *model.Mail) (*Message, error)
		mailer  mailerFunc
		hook    func(m *model.Mail)
	}{
		"a panic in compose": {compose: func(context.Context, *model.Mail) (*Message, error) { panic("secret-token") }},
		"a nil pointer":      {compose: func(context.Context, *model.Mail) (*Message, error) { var m *Message; return testMessage(m.To), nil }},
		"an error of compose": {compose: func(context.Context, *model.Mail) (*Message, error) {
			return nil, errors.New("store is closed")
		}},
		"a panic in the mailer": {mailer: func(context.Context, *Message) error { panic("secret-token") }},
		"a mailer that hangs":   {mailer: func(ctx context.Context, _ *Message) error { <-ctx.Done(); return ctx.Err() }},
		"a mailer that never returns": {mailer: func(ctx context.Context, _ *Message) error {
			<-never
			return errors.New("late")
		}},
		"a panic in a hook": {hook: func(*model.Mail) { panic("hook") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := testStore(t, t.TempDir())
			ids := putMails(t, s, 20, time.Now())
			var sent deliveryCount
			core, logs := observer.New(zapcore.WarnLevel)
			o := testOutbox(t, s, zap.New(core))
			var broken atomic.Int32 // the first attempts for one account
			fails := func(account string) bool { return account == recipientOf(ids[7]) && broken.Add(1) <= 2 }
			defer o.Use(&Delivery{
				Compose: func(ctx context.Context, m *model.Mail) (*Message, error) {
					if c.compose != nil && fails(recipientOf(m.Account)) {
						return c.compose(ctx, m)
					}
					return composeTo(ctx, m)
				},
				Mailer: mailerFunc(func(ctx context.Context, m *Message) error {
					if c.mailer != nil && fails(m.To) {
						return c.mailer(ctx, m)
					}
					sent.add(m.To)
					return nil
				}),
				Delivered: c.hook,
			})()
			testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
			got := sent.all()
			for _, id := range ids {
				if got[recipientOf(id)] != 1 {
					t.Errorf("account %d got %d mails", id, got[recipientOf(id)])
				}
			}
			for _, e := range logs.All() {
				if strings.Contains(fmt.Sprint(e.Message, e.ContextMap()), "secret-token") {
					t.Errorf("the link is in the log: %v", e)
				}
			}
		})
	}
}

func TestOutboxIsHandedOver(t *testing.T) {
	s := testStore(t, t.TempDir())
	ids := putMails(t, s, 3, time.Now())
	o := testOutbox(t, s, nil)
	var old, newer deliveryCount
	begun, goOn := make(chan struct{}, 10), make(chan struct{})
	releaseOld := o.Use(&Delivery{
		Compose: composeTo,
		Mailer: mailerFunc(func(_ context.Context, m *Message) error {
			begun <- struct{}{}
			<-goOn
			old.add(m.To)
			return nil
		}),
	})
	<-begun // the old configuration is sending while the new one starts
	releaseNew := o.Use(&Delivery{
		Compose: composeTo,
		Mailer:  mailerFunc(func(_ context.Context, m *Message) error { newer.add(m.To); return nil }),
	})
	releaseOld()
	releaseOld() // does nothing
	if n := len(newer.all()); n != 0 {
		t.Errorf("%d mails sent beside the one at work", n)
	}
	close(goOn)
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	if len(old.all()) != 1 || len(newer.all()) != 2 {
		t.Errorf("old %v, new %v", old.all(), newer.all())
	}
	for _, id := range ids {
		if n := old.all()[recipientOf(id)] + newer.all()[recipientOf(id)]; n != 1 {
			t.Errorf("account %d got %d mails", id, n)
		}
	}

	// Without a configuration, nothing is sent, and nothing is lost.
	releaseNew()
	putMails(t, s, 1, time.Now())
	o.Wake()
	time.Sleep(100 * time.Millisecond)
	if len(pending(t, s)) != 1 {
		t.Error("a mail was sent by no configuration")
	}

	// A reload that is rejected leaves the configuration before it in use.
	releaseOld = o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(_ context.Context, m *Message) error { old.add(m.To); return nil })})
	defer releaseOld()
	o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(_ context.Context, m *Message) error { newer.add(m.To); return nil })})()
	id := putMails(t, s, 1, time.Now())[0]
	o.Wake()
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	if old.all()[recipientOf(id)] != 1 {
		t.Error("the rejected configuration sent the mail")
	}
}

// A mail that waits for its next attempt is tried at once after a start, and with
// a new configuration, which may fix what was wrong.
func TestOutboxTriesEverythingAfterAStart(t *testing.T) {
	s := testStore(t, t.TempDir())
	putMails(t, s, 100, time.Now().Add(time.Hour))
	o := testOutbox(t, s, nil)
	var failed, sent atomic.Int32
	defer o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(context.Context, *Message) error { failed.Add(1); return errors.New("no") })})()
	testsite.Eventually(t, "tried", func() bool { return failed.Load() >= maxFailures })
	defer o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(context.Context, *Message) error { sent.Add(1); return nil })})()
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	if sent.Load() != 100 {
		t.Errorf("%d mails sent", sent.Load())
	}
}

func TestOutboxLeavesABrokenMailerAlone(t *testing.T) {
	s := testStore(t, t.TempDir())
	putMails(t, s, 500, time.Now())
	var attempts, sent atomic.Int32
	var works atomic.Bool
	o := testOutbox(t, s, nil)
	defer o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(context.Context, *Message) error {
		if attempts.Add(1); !works.Load() {
			return errors.New("down")
		}
		sent.Add(1)
		return nil
	})})()
	time.Sleep(500 * time.Millisecond)
	if n := attempts.Load(); n < 12 || n > 30 {
		t.Errorf("%d attempts for 500 mails", n)
	}
	// New mails don't change that.
	for range 100 {
		o.Wake()
	}
	works.Store(true)
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	if sent.Load() != 500 {
		t.Errorf("%d mails sent", sent.Load())
	}
}

// A mail to a local name is given up at once, with one log line and without
// asking the server.
func TestOutboxSendsNothingToLocalNames(t *testing.T) {
	for _, to := range []string{"root@localhost", "x@[127.0.0.1]"} {
		srv := testsite.StartSMTP(t, "none", nil)
		s := testStore(t, t.TempDir())
		putMails(t, s, 1, time.Now())
		core, logs := observer.New(zapcore.WarnLevel)
		o := testOutbox(t, s, zap.New(core))
		defer o.Use(&Delivery{
			Compose: func(context.Context, *model.Mail) (*Message, error) { return testMessage(to), nil },
			Mailer:  newSMTP(t, srv, "tls none"),
		})()
		testsite.Eventually(t, "given up", func() bool { return len(pending(t, s)) == 0 })
		if logs.Len() != 1 || logs.All()[0].Level != zapcore.ErrorLevel || !strings.Contains(fmt.Sprint(logs.All()[0].ContextMap()["error"]), "local_recipients on") {
			t.Errorf("logged %v", logs.All())
		}
		if srv.Set(func() {}); srv.Connections > 0 || len(srv.Received()) > 0 {
			t.Error("the server was asked")
		}
	}
}

// Registering accounts with addresses that the server refuses delays no other
// mail, however the server refuses them.
func TestOutboxIsNotHeldUpByRecipients(t *testing.T) {
	for _, refusal := range []smtp.SMTPError{
		{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 1, 2}},
		{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}},
		{Code: 550, EnhancedCode: smtp.NoEnhancedCode},
		{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 1}},
		{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}},
		{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 7, 509}},
	} {
		for _, at := range []string{"RCPT", "DATA"} {
			srv := testsite.StartSMTP(t, "starttls", &testsite.SMTP{})
			s := testStore(t, t.TempDir())
			refused := make(map[string]bool)
			for _, id := range putMails(t, s, 40, time.Now()) {
				refused[recipientOf(id)] = true
			}
			good := recipientOf(putMails(t, s, 1, time.Now())[0])
			refuse := func(to string, here bool) error {
				if here && refused[to] {
					return &refusal
				}
				return nil
			}
			srv.OnRcpt = func(to string) error { return refuse(to, at == "RCPT") }
			srv.OnData = func(to string, _ []byte) error { return refuse(to, at == "DATA") }
			times := quickTimes
			times.send = 10 * time.Second
			times.retryPause = time.Hour
			o := startOutbox(s, zap.NewNop(), times)
			release := o.Use(&Delivery{Compose: composeTo, Mailer: newSMTP(t, srv, "trusted_ca CA")})
			testsite.Eventually(t, fmt.Sprint(refusal, at, ": sent"), func() bool { m := srv.Received(); return len(m) == 1 && m[0].To == good })
			testsite.Eventually(t, "only the refused ones are tried again", func() bool { return len(pending(t, s)) == 40 })
			release()
			o.Close()
		}
	}
}

// A mail server that refuses everybody, even people who received mails before, is
// taken to be broken: it is tried less often, and no mail is given up.
func TestOutboxHoldsWhereEverybodyIsRefused(t *testing.T) {
	for _, known := range []bool{true, false} {
		srv := testsite.StartSMTP(t, "starttls", &testsite.SMTP{})
		s := testStore(t, t.TempDir())
		first := putMails(t, s, 1, time.Now())[0]
		var refusing atomic.Bool
		var asked atomic.Int32
		srv.OnRcpt = func(string) error {
			if !refusing.Load() {
				return nil
			}
			asked.Add(1)
			return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
		}
		times := quickTimes
		times.send = 10 * time.Second
		times.retryPause = time.Hour
		o := startOutbox(s, zap.NewNop(), times)
		t.Cleanup(o.Close)
		defer o.Use(&Delivery{
			Compose: func(_ context.Context, m *model.Mail) (*Message, error) {
				if m.Account == first || m.Account == first+1 && known {
					return testMessage("known@example.com"), nil
				}
				return testMessage(fmt.Sprintf("a@d%d.example", m.Account)), nil
			},
			Mailer: newSMTP(t, srv, "trusted_ca CA"),
		})()
		testsite.Eventually(t, "sent", func() bool { return len(pending(t, s)) == 0 })
		refusing.Store(true)
		putMails(t, s, 1, time.Now().Add(50*time.Millisecond)) // the latest, so the first
		putMails(t, s, 40, time.Now())
		time.Sleep(50 * time.Millisecond)
		o.Wake()
		if known {
			// The first two were given up: until then it could have been them.
			testsite.Eventually(t, "held", func() bool { return asked.Load() == maxFailures+2 })
			time.Sleep(100 * time.Millisecond)
			if n := len(pending(t, s)); n != 39 || asked.Load() != maxFailures+2 {
				t.Errorf("%d mails left after %d attempts", n, asked.Load())
			}
			continue
		}
		testsite.Eventually(t, "given up", func() bool { return len(pending(t, s)) == 0 })
	}
}

// While mails fail, other people's come first: at the next attempt with a broken
// mailer, and after the current attempt.
func TestOutboxIsFair(t *testing.T) {
	for _, held := range []bool{true, false} {
		s := testStore(t, t.TempDir())
		bad := make(map[string]bool)
		var mu sync.Mutex
		var tried []string
		blocked, goOn := make(chan struct{}, 100), make(chan struct{})
		for _, id := range putMailsFrom(t, s, 40, time.Now(), "192.0.2.0/24") {
			bad[recipientOf(id)] = true
		}
		times := quickTimes
		times.send = 10 * time.Second
		times.retryPause = 300 * time.Millisecond
		o := startOutbox(s, zap.NewNop(), times)
		t.Cleanup(o.Close)
		defer o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(_ context.Context, m *Message) error {
			mu.Lock()
			tried = append(tried, m.To)
			mu.Unlock()
			if !bad[m.To] {
				return nil
			}
			if !held {
				blocked <- struct{}{}
				<-goOn
				return fmt.Errorf("%w: refused", errRefused)
			}
			return errors.New("down")
		})})()
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(tried)
		}
		if held {
			testsite.Eventually(t, "held", func() bool { return count() >= maxFailures })
		} else {
			<-blocked
		}
		before := count()
		good := recipientOf(putMailsFrom(t, s, 1, time.Now(), "198.51.100.0/24")[0])
		o.Wake()
		close(goOn)
		testsite.Eventually(t, "tried", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(tried, good)
		})
		mu.Lock()
		if i := slices.Index(tried, good); i > before {
			t.Errorf("held %v: %d attempts before the mail of somebody else", held, i-before)
		}
		mu.Unlock()
	}
}

// Somebody who asks for a mail gets it before those that wait, however many they are.
func TestOutboxSendsTheLatestFirst(t *testing.T) {
	asked := make(map[string]int) // after how many mails
	for i, to := range sentWhileAsking(t, 200, 40, 3, asked) {
		if at, ok := asked[to]; ok && i > at+2 {
			t.Errorf("%d mails came before one that was asked for", i-at)
		}
	}
	if len(asked) != 40 {
		t.Errorf("%d mails were asked for", len(asked))
	}
}

// Mails that wait are sent although as many are asked for.
func TestOutboxSendsWhatWaits(t *testing.T) {
	asked := make(map[string]int)
	waiting := 0
	for _, to := range sentWhileAsking(t, 300, 100, 1, asked)[:100] {
		if _, ok := asked[to]; !ok {
			waiting++
		}
	}
	if waiting < 40 || waiting > 60 {
		t.Errorf("%d of the first 100 mails had waited", waiting)
	}
}

// A mail that was refused once is sent behind the latest, however many others wait.
func TestOutboxRetriesWhileOthersWait(t *testing.T) {
	srv := testsite.StartSMTP(t, "starttls", &testsite.SMTP{})
	s := testStore(t, t.TempDir())
	putMails(t, s, 1000, time.Now())
	var refused string
	srv.OnRcpt = func(to string) error {
		if refused != "" {
			return nil
		}
		refused = to
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}
	}
	times := quickTimes
	times.send = 10 * time.Second
	o := startOutbox(s, zap.NewNop(), times)
	t.Cleanup(o.Close)
	defer o.Use(&Delivery{Compose: composeTo, Mailer: newSMTP(t, srv, "trusted_ca CA")})()
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	sent := srv.Received()
	if i := slices.IndexFunc(sent, func(m testsite.ReceivedMail) bool { return m.To == refused }); i < 0 || i > 2*maxLatest+100 {
		t.Errorf("it was sent after %d of %d mails", i, len(sent))
	}
}

// sentWhileAsking returns the recipients of mails in the order in which they came. Many
// wait at first, others are asked for one by one, each after every more mails.
func sentWhileAsking(t *testing.T, waiting, others, every int, asked map[string]int) (sent []string) {
	t.Helper()
	srv := testsite.StartSMTP(t, "starttls", &testsite.SMTP{})
	s := testStore(t, t.TempDir())
	putMails(t, s, waiting, time.Now())
	times := quickTimes
	times.send, times.reread = 10*time.Second, 0
	o := startOutbox(s, zap.NewNop(), times)
	t.Cleanup(o.Close)
	srv.OnData = func(to string, _ []byte) error {
		sent = append(sent, to)
		if len(asked) < others && len(sent)%every == 0 {
			asked[recipientOf(putMails(t, s, 1, time.Now())[0])] = len(sent)
			o.Wake()
		}
		return nil
	}
	defer o.Use(&Delivery{Compose: composeTo, Mailer: newSMTP(t, srv, "trusted_ca CA")})()
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	o.Close()
	if len(sent) != waiting+others {
		t.Errorf("%d mails were sent", len(sent))
	}
	return sent
}

// A clock that is set back delays no mail, but leaves the pause before a retry.
func TestOutboxFollowsAClockThatIsSetBack(t *testing.T) {
	srv := testsite.StartSMTP(t, "starttls", &testsite.SMTP{})
	s := testStore(t, t.TempDir())
	times := quickTimes
	times.send = 10 * time.Second
	o := startOutbox(s, zap.NewNop(), times)
	t.Cleanup(o.Close)
	defer o.Use(&Delivery{Compose: composeTo, Mailer: newSMTP(t, srv, "trusted_ca CA")})()
	put := func(due time.Duration) string {
		return recipientOf(putMails(t, s, 1, time.Now().Add(due))[0])
	}
	putAndWait := func(due time.Duration) {
		to := put(due)
		o.Wake()
		testsite.Eventually(t, "sent", func() bool {
			return slices.ContainsFunc(srv.Received(), func(m testsite.ReceivedMail) bool { return m.To == to })
		})
	}
	putAndWait(0) // after a start, all mails are tried
	put(longestPause - time.Minute)
	putAndWait(0)
	putAndWait(longestPause + time.Minute)
	putAndWait(10 * 365 * 24 * time.Hour)
	o.Close()
	if left := len(pending(t, s)); left != 1 {
		t.Errorf("%d mails wait to be retried", left)
	}
}

// A clock that is ahead gives up no mail that was tried a few times only, and once it is
// right, a mail made meanwhile is not retried for ever.
func TestOutboxFollowsAClockThatIsAhead(t *testing.T) {
	srv := testsite.StartSMTP(t, "starttls", &testsite.SMTP{OnConnect: func(n int) error {
		if n <= 14 {
			return &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}}
		}
		return nil
	}})
	s := testStore(t, t.TempDir())
	now := time.Now()
	putCopies(t, s, 11, model.Mail{Purpose: model.PurposeActivation, Protocol: "https", Created: now.Add(-48 * time.Hour), Due: now, Attempts: 3})
	times := quickTimes
	times.send = 10 * time.Second
	o := startOutbox(s, zap.NewNop(), times)
	t.Cleanup(o.Close)
	defer o.Use(&Delivery{
		Compose: composeTo,
		Mailer:  newSMTP(t, srv, "trusted_ca CA"),
		Failed:  func(m *model.Mail, err error) { t.Errorf("given up after %d attempts: %v", m.Attempts, err) },
	})()
	testsite.Eventually(t, "sent", func() bool { return len(pending(t, s)) == 0 })

	for _, age := range []time.Duration{48 * time.Hour, -48 * time.Hour} {
		failed := make(chan *model.Mail, 1)
		release := o.Use(&Delivery{
			Compose: composeTo,
			Mailer:  retryingMailer{500 * time.Millisecond},
			Failed:  func(m *model.Mail, _ error) { failed <- m },
		})
		start := time.Now()
		made := start.Add(-age)
		putCopies(t, s, 1, model.Mail{Purpose: model.PurposeActivation, Protocol: "https", Created: made, Due: made})
		o.Wake()
		select {
		case m := <-failed:
			// Five attempts have four pauses.
			if took := time.Since(start); m.Attempts < 5 || took < 15*times.retryPause {
				t.Errorf("a mail made %v ago was given up after %d attempts and %v", age, m.Attempts, took)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("a mail made %v ago is retried for ever", age)
		}
		release()
	}
}

func TestFewestAttempts(t *testing.T) {
	o := &Outbox{times: defaultTimes}
	for retry, want := range map[time.Duration]int{time.Second: 1, time.Minute: 5, 10 * time.Minute: 8, 24 * time.Hour: minAttempts} {
		if got := o.fewestAttempts(retry); got != want {
			t.Errorf("%v: %d, not %d", retry, got, want)
		}
	}
}

func TestOutboxCloses(t *testing.T) {
	// It waits for the mail being sent.
	s := testStore(t, t.TempDir())
	putMails(t, s, 50, time.Now())
	begun := make(chan struct{}, 100)
	var sent atomic.Int32
	o := startOutbox(s, zap.NewNop(), quickTimes)
	o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(context.Context, *Message) error {
		begun <- struct{}{}
		time.Sleep(50 * time.Millisecond)
		sent.Add(1)
		return nil
	})})
	<-begun
	o.Close()
	n := sent.Load()
	if n < 1 || n > 5 || len(pending(t, s)) != 50-int(n) {
		t.Errorf("%d sent, %d left", n, len(pending(t, s)))
	}
	time.Sleep(100 * time.Millisecond)
	if sent.Load() != n {
		t.Error("sent after close")
	}

	// A mail that hangs is cut off, and stays in the store unchanged.
	before := pending(t, s)[0]
	o = startOutbox(s, zap.NewNop(), outboxTimes{retryPause: time.Hour, send: time.Hour, grace: 50 * time.Millisecond, close: 50 * time.Millisecond})
	o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(ctx context.Context, _ *Message) error {
		begun <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})})
	<-begun
	start := time.Now()
	o.Close()
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("closed after %s", d)
	}
	if after := pending(t, s)[0]; after.ID != before.ID || after.Attempts != before.Attempts {
		t.Errorf("was %+v, is %+v", before, after)
	}
}

func TestOutboxOverAClosedStore(t *testing.T) {
	s := testStore(t, t.TempDir())
	putMails(t, s, 50, time.Now())
	o := testOutbox(t, s, nil)
	defer o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(context.Context, *Message) error { return s.Close() })})()
	select {
	case <-o.ended:
	case <-time.After(10 * time.Second):
		t.Error("the worker goes on")
	}
}

// fullStore is a store on a full disk: results of mails can't be written for a
// while.
type fullStore struct {
	model.Store
	full atomic.Bool
}

func (s *fullStore) DeleteMail(ctx context.Context, id uint64) error {
	if s.full.Load() {
		return model.ErrFull
	}
	return s.Store.DeleteMail(ctx, id)
}

func (s *fullStore) PutMail(ctx context.Context, m *model.Mail) error {
	if s.full.Load() {
		return model.ErrFull
	}
	return s.Store.PutMail(ctx, m)
}

func TestOutboxSendsNothingTwiceWhenTheDiskIsFull(t *testing.T) {
	s := &fullStore{Store: testStore(t, t.TempDir())}
	ids := putMails(t, s, 30, time.Now())
	s.full.Store(true)
	var sent deliveryCount
	o := testOutbox(t, s, nil)
	defer o.Use(&Delivery{Compose: composeTo, Mailer: mailerFunc(func(_ context.Context, m *Message) error {
		if sent.add(m.To) == 1 && m.To == recipientOf(ids[3]) {
			return errors.New("once more")
		}
		return nil
	})})()
	time.Sleep(300 * time.Millisecond)
	s.full.Store(false)
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	for _, id := range ids {
		if n := sent.all()[recipientOf(id)]; n != 1 && id != ids[3] {
			t.Errorf("account %d got %d mails", id, n)
		}
	}
}

// Through a mail server that refuses mails and drops connections, each mail
// arrives once.
func TestOutboxThroughAFailingServer(t *testing.T) {
	srv := testsite.StartSMTP(t, "starttls", &testsite.SMTP{})
	var n atomic.Int32
	srv.OnRcpt = func(string) error {
		if n.Add(1)%3 == 0 {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again"}
		}
		return nil
	}
	srv.OnData = func(string, []byte) error {
		if n.Load()%31 == 0 {
			srv.Lock()
			defer srv.Unlock()
			srv.Conns[len(srv.Conns)-1].Close()
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	s := testStore(t, t.TempDir())
	ids := putMails(t, s, 1000, time.Now())
	times := quickTimes
	times.send = 10 * time.Second
	o := startOutbox(s, zap.NewNop(), times)
	defer o.Close()
	start := time.Now()
	defer o.Use(&Delivery{Compose: composeTo, Mailer: newSMTP(t, srv, "trusted_ca CA")})()
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	got := make(map[string]int)
	for _, m := range srv.Received() {
		got[m.To]++
	}
	for _, id := range ids {
		if got[recipientOf(id)] != 1 {
			t.Errorf("account %d got %d mails", id, got[recipientOf(id)])
		}
	}
	srv.Lock()
	defer srv.Unlock()
	t.Logf("%d mails in %s over %d connections", len(ids), time.Since(start).Round(time.Millisecond), srv.Connections)
}

// A process that is killed while it sends loses no mail. Mails that were sent but
// not yet deleted are sent again, with the same Message-ID.
func TestOutboxSurvivesAKill(t *testing.T) {
	const name = "DJOSER_TEST_OUTBOX_KILL"
	if dir := os.Getenv(name); dir != "" {
		s, err := new(badger.Store).Open(context.Background(), filepath.Join(dir, "store"), zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		o := NewOutbox(s, zap.NewNop())
		o.Use(&Delivery{Compose: composeTo, Mailer: &FileMailer{dir: filepath.Join(dir, "mails")}})
		for {
			putMails(t, s, 1, time.Now())
			fmt.Println("committed")
			o.Wake()
		}
	}

	dir := t.TempDir()
	for _, d := range []string{"store", "mails"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	written := func() []string {
		files, err := filepath.Glob(filepath.Join(dir, "mails", "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	committed := 0
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOutboxSurvivesAKill$")
		cmd.Env = append(os.Environ(), name+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before, until := len(written()), 5+rand.N(10)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if lines.Text() != "committed" {
				continue
			}
			committed++
			// A busy machine takes a while to send some.
			if until--; until <= 0 && len(written()) > before+2 {
				cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
	}

	s := testStore(t, filepath.Join(dir, "store"))
	o := testOutbox(t, s, nil)
	defer o.Use(&Delivery{Compose: composeTo, Mailer: &FileMailer{dir: filepath.Join(dir, "mails")}})()
	testsite.Eventually(t, "all sent", func() bool { return len(pending(t, s)) == 0 })
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if committed < 15 || stats.Accounts < uint64(committed) {
		t.Errorf("%d mails committed, %d accounts", committed, stats.Accounts)
	}
	files, ids := written(), make(map[string]map[string]int)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		h := testsite.ReceivedMail{Data: b}.Parse(t).Header
		if ids[h.Get("To")] == nil {
			ids[h.Get("To")] = make(map[string]int)
		}
		ids[h.Get("To")][h.Get("Message-ID")]++
	}
	if uint64(len(ids)) != stats.Accounts {
		t.Errorf("%d accounts, %d got a mail", stats.Accounts, len(ids))
	}
	for to, of := range ids {
		if len(of) != 1 {
			t.Errorf("%s got mails %v", to, of)
		}
	}
	// Three kills, each after a mail was sent, while its deletion and that of the
	// mail before may not be written yet.
	if again := len(files) - len(ids); again > 3*2 {
		t.Errorf("%d of %d mails were sent again", again, len(files))
	}
	t.Logf("%d mails, %d sent again", len(ids), len(files)-len(ids))
}
