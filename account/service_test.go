package account_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddy-djoser/djoser/throttle"
	"go.uber.org/zap"
)

// realm is a service over a real store, with a clock and what it reported.
type realm struct {
	*account.Service
	t *testing.T

	mu     sync.Mutex
	now    time.Time
	events []account.Event
}

// Report implements account.Reporter.
func (r *realm) Report(e account.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Hash implements account.Reporter.
func (r *realm) Hash(ctx context.Context, pool *password.Pool, who password.Caller, work func()) error {
	return pool.Do(ctx, who, work)
}

// Mailed implements account.Reporter.
func (r *realm) Mailed(string, ...*model.Mail) {}

// newRealm makes a service with cheap hashes and no limits, which change alters.
func newRealm(t *testing.T, change func(*account.Service)) *realm {
	t.Helper()
	store, err := (&badger.Store{Reserve: 1 << 20}).Open(t.Context(), t.TempDir(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	m, err := (*model.UserModel)(nil).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Reindex(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	r := &realm{t: t, now: time.Now().Truncate(time.Second)}
	clock := func() time.Time {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.now
	}
	r.Service = &account.Service{
		Store: store, Model: m, Reporter: r, WakeMail: func() {}, Now: clock,
		Rules:     account.Rules{TokensPerUser: 10, SendsMails: true},
		Links:     account.Links{Key: []byte(strings.Repeat("k", 32)), TTL: 72 * time.Hour, Now: clock},
		Hasher:    password.Argon2id{Memory: 8, Iterations: 1, Parallelism: 1},
		Pool:      password.NewPool(1, 100),
		Throttles: account.NewThrottles(clock, nil),
		Rates:     &throttle.Settings{Off: true},
	}
	if change != nil {
		change(r.Service)
	}
	return r
}

// pass lets time pass.
func (r *realm) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// from is a client at an address.
func from(address string) account.Client { return account.Client{Address: address, Protocol: "https"} }

var here = from("192.0.2.1")

// do serves a request from here.
func (r *realm) do(action string, do func(*account.Request) error) error {
	return r.Do(context.Background(), account.Event{Action: action, Client: here}, do)
}

// login logs in as the endpoints do.
func (r *realm) login(c account.Client, name, pass string) (acc *model.Account, token string, err error) {
	err = r.Do(r.t.Context(), account.Event{Action: "login", Name: "logged_in", Client: c}, func(req *account.Request) error {
		acc, token, err = req.Login(r.t.Context(), r.Model.Username, name, pass)
		return err
	})
	return acc, token, err
}

// tryRegister registers an account.
func (r *realm) tryRegister(v model.Values, pass string) (acc *model.Account, token string, err error) {
	err = r.do("register", func(req *account.Request) error {
		acc, token, err = req.Register(r.t.Context(), v, pass, "")
		return err
	})
	return acc, token, err
}

// register makes an account, which nothing reports.
func (r *realm) register(name, pass, email string) *model.Account {
	r.t.Helper()
	acc, _, err := r.tryRegister(model.Values{"username": name, "email": email}, pass)
	if err != nil {
		r.t.Fatal(err)
	}
	r.events = nil
	return acc
}

// activate uses a link.
func (r *realm) activate(acc *model.Account, link string) (got *model.Account, token string, err error) {
	err = r.Do(r.t.Context(), account.Event{Action: "activate", Name: "user_activated", Client: here}, func(req *account.Request) error {
		got, token, err = req.Activate(r.t.Context(), acc, link)
		return err
	})
	return got, token, err
}

// askReset requests a mail to reset a password.
func (r *realm) askReset(address string) {
	r.t.Helper()
	err := r.do("password_reset", func(req *account.Request) error { return req.RequestReset(r.t.Context(), address) })
	if err != nil {
		r.t.Fatal(err)
	}
}

// reset uses a link to set a password.
func (r *realm) reset(acc *model.Account, link, pass string) (got *model.Account, err error) {
	err = r.do("password_reset_confirm", func(req *account.Request) error {
		got, err = req.ResetPassword(r.t.Context(), acc, link, pass)
		return err
	})
	return got, err
}

// lastEvent returns the newest event.
func (r *realm) lastEvent() account.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[len(r.events)-1]
}

// link takes the newest mail of a purpose out of the outbox and returns its link.
func (r *realm) link(p model.Purpose) string {
	r.t.Helper()
	mails, err := r.Store.Mails(r.t.Context(), r.now.Add(time.Hour), 100)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range slices.Backward(mails) {
		if m.Purpose != p {
			continue
		}
		named, to, err := r.Named(r.t.Context(), m)
		if err != nil || len(named) == 0 {
			r.t.Fatalf("%s names nobody: %v", p, err)
		}
		if err := r.Store.DeleteMail(r.t.Context(), m.ID); err != nil {
			r.t.Fatal(err)
		}
		return r.LinkTo(m, named[0], to)
	}
	r.t.Fatalf("no mail of %s among %d", p, len(mails))
	return ""
}

// alive reports whether a token is still there.
func (r *realm) alive(token string) bool {
	r.t.Helper()
	digest, _ := model.DigestOf(token)
	_, _, err := r.Store.Token(r.t.Context(), digest)
	if err != nil && !errors.Is(err, model.ErrNotFound) {
		r.t.Fatal(err)
	}
	return err == nil
}

// wantEvent checks the newest event, and that there is one event more than before.
func (r *realm) wantEvent(number int, name, outcome string, id uint64) {
	r.t.Helper()
	if len(r.events) != number {
		r.t.Fatalf("%d events, want %d", len(r.events), number)
	}
	e := r.events[number-1]
	var got uint64
	if e.Account != nil {
		got = e.Account.ID
	}
	if e.Name != name || e.Outcome != outcome || got != id || e.By != "owner" {
		r.t.Errorf("event %s of account %d by %s: %s; want %s of %d: %s", e.Name, got, e.By, e.Outcome, name, id, outcome)
	}
}

func TestALoginIsDecidedAndReportedOnce(t *testing.T) {
	r := newRealm(t, nil)
	ann := r.register("ann", "secret", "ann@a.example")
	gone := r.register("gone", "secret", "")
	if _, err := r.Disable(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name, pass string
		err        error
		outcome    string
		id         uint64
	}{
		{"ann", "secret", nil, account.OutcomeOK, ann.ID},
		{"ann", "wrong", account.ErrCredentials, account.OutcomeWrong, ann.ID},
		{"nobody", "secret", account.ErrCredentials, account.OutcomeWrong, 0},
		{"gone", "secret", account.ErrDisabled, account.OutcomeDisabled, gone.ID},
		{"gone", "wrong", account.ErrCredentials, account.OutcomeWrong, gone.ID},
	} {
		_, token, err := r.login(here, c.name, c.pass)
		if !errors.Is(err, c.err) || (token != "") != (c.err == nil) {
			t.Errorf("%s with %s: token %q, %v", c.name, c.pass, token, err)
		}
		if token != "" && !r.alive(token) {
			t.Errorf("%s has a token that the store doesn't know", c.name)
		}
		r.wantEvent(i+1, "logged_in", c.outcome, c.id)
	}
}

func TestWrongPasswordsAreLimitedAndForgiven(t *testing.T) {
	r := newRealm(t, func(s *account.Service) { s.Rates = new(throttle.Settings) })
	r.register("ann", "secret", "")
	tooSoon := func(err error) bool { return errors.As(err, new(*account.TooSoonError)) }
	other := from("198.51.100.7")
	try := func(c account.Client, pass string, times int) (refused int) {
		for range times {
			if _, _, err := r.login(c, "ann", pass); tooSoon(err) {
				refused++
			}
		}
		return refused
	}
	if n := try(other, "wrong", 30); n == 0 || n == 30 {
		t.Fatalf("%d of 30 wrong passwords are refused", n)
	}
	if e := r.lastEvent(); e.Outcome != account.OutcomeThrottled {
		t.Errorf("reported as %s", e.Outcome)
	}
	// The owner registered here.
	if _, _, err := r.login(here, "ann", "secret"); err != nil {
		t.Errorf("the owner is locked out: %v", err)
	}
	r.pass(time.Hour)
	if _, _, err := r.login(other, "ann", "secret"); err != nil {
		t.Errorf("after an hour: %v", err)
	}
	if n := try(other, "wrong", 3); n > 0 {
		t.Errorf("%d of 3 wrong passwords after a right one are refused", n)
	}
}

func TestThrottledRequestsPassAgainInTime(t *testing.T) {
	r := newRealm(t, func(s *account.Service) { s.Rates = new(throttle.Settings) })
	acc := r.register("ann", "secret", "ann@a.example")
	for name, request := range map[string]func() error{
		"login": func() error {
			_, _, err := r.login(here, "ann", "wrong")
			return err
		},
		"me": func() error {
			return r.Do(t.Context(), account.Event{Action: "me", Client: here, Account: acc}, func(*account.Request) error { return nil })
		},
	} {
		for i := range 2 {
			for range 10 {
				if err := request(); errors.As(err, new(*account.TooSoonError)) {
					t.Errorf("%s, round %d: %v", name, i, err)
				}
			}
			if err := request(); !errors.As(err, new(*account.TooSoonError)) {
				t.Errorf("%s, round %d: the eleventh in a minute: %v", name, i, err)
			}
			r.pass(time.Minute)
		}
	}
}

func TestWrongPasswordsFromManyAddressesWaitLongerAndLonger(t *testing.T) {
	r := newRealm(t, func(s *account.Service) { s.Rates = new(throttle.Settings) })
	r.register("ann", "secret", "")
	var waits []time.Duration
	for i := 0; i < 500 && (len(waits) == 0 || waits[len(waits)-1] <= time.Hour); i++ {
		_, _, err := r.login(from(fmt.Sprintf("203.0.%d.%d", i/250, i%250)), "ann", "wrong")
		wait := time.Second
		if soon := new(account.TooSoonError); errors.As(err, &soon) {
			wait = soon.Wait
			waits = append(waits, wait)
		}
		r.pass(wait)
	}
	if len(waits) == 0 || waits[0] > time.Minute || waits[len(waits)-1] <= time.Hour {
		t.Errorf("waits %v", waits)
	}
}

func TestTheMailOfARegistrationCountsAmongThoseRequested(t *testing.T) {
	r := newRealm(t, func(s *account.Service) {
		s.Rates, s.Rules.SendActivationEmail = new(throttle.Settings), true
	})
	r.register("ann", "secret", "ann@a.example")
	for _, want := range []string{"", "ann@a.example"} {
		err := r.do("activate_resend", func(req *account.Request) error { return req.ResendActivation(t.Context(), "ann@a.example") })
		if err != nil {
			t.Fatal(err)
		}
		mails, err := r.Store.Mails(t.Context(), r.now, 100)
		if err != nil {
			t.Fatal(err)
		}
		if got := mails[len(mails)-1].Address; got != want {
			t.Errorf("a mail to %q, want %q", got, want)
		}
		r.pass(time.Minute)
	}
}

func TestARegistrationIsCheckedAsAWhole(t *testing.T) {
	r := newRealm(t, func(s *account.Service) {
		s.Validators = password.Validators{MinLength: 8, Similar: true}
		s.Rules.LoginAfterRegistration = true
	})
	acc, token, err := r.tryRegister(model.Values{"username": "ann", "email": "ann@a.example"}, "long enough")
	if err != nil || !acc.IsActive || !r.alive(token) {
		t.Fatalf("%+v, %q, %v", acc, token, err)
	}
	for name, c := range map[string]struct {
		username, pass string
		field          string
	}{
		"taken username":      {"ann", "long enough", "username"},
		"impossible username": {"...", "long enough", "username"},
		"short password":      {"bob", "short", "password"},
		"similar password":    {"robertson", "robertson1", "password"},
	} {
		_, token, err := r.tryRegister(model.Values{"username": c.username}, c.pass)
		taken, wrong := new(model.TakenError), new(model.FieldError)
		if token != "" || !(errors.As(err, &taken) && taken.Field == c.field || errors.As(err, &wrong) && wrong.Field == c.field) {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
}

func TestAnAccountIsActivatedByItsLinkOnce(t *testing.T) {
	r := newRealm(t, func(s *account.Service) {
		s.Rules.SendActivationEmail, s.Rules.LoginAfterActivation = true, true
	})
	acc := r.register("ann", "secret", "ann@a.example")
	if _, _, err := r.login(here, "ann", "secret"); !errors.Is(err, account.ErrDisabled) {
		t.Errorf("before the activation: %v", err)
	}
	link := r.link(model.PurposeActivation)
	if _, _, err := r.activate(acc, link+"x"); !errors.Is(err, account.ErrLink) {
		t.Errorf("a bad link: %v", err)
	}
	got, token, err := r.activate(acc, link)
	if e := r.lastEvent(); err != nil || !got.IsActive || !got.EmailConfirmed || !r.alive(token) || e.Name != "user_activated" || e.Account.ID != acc.ID {
		t.Errorf("%+v, %q, %v, event %+v", got, token, err, e)
	}
	if _, _, err := r.activate(got, link); !errors.Is(err, account.ErrLink) {
		t.Errorf("the link a second time: %v", err)
	}
}

func TestAnAccountWaitsForItsActivationAsLongAsItsLink(t *testing.T) {
	r := newRealm(t, func(s *account.Service) { s.Rules.SendActivationEmail = true })
	acc := r.register("ann", "secret", "ann@a.example")
	link := r.link(model.PurposeActivation)
	again := func() error {
		_, _, err := r.tryRegister(model.Values{"username": "ann", "email": "other@a.example"}, "secret")
		return err
	}
	if err := again(); !errors.As(err, new(*model.TakenError)) {
		t.Errorf("its name is free: %v", err)
	}
	r.pass(73 * time.Hour)
	if _, _, err := r.activate(acc, link); !errors.Is(err, account.ErrLink) {
		t.Errorf("activated too late: %v", err)
	}
	if err := again(); err != nil {
		t.Errorf("its name is still taken: %v", err)
	}
}

func TestAResetEndsEveryLoginAndUsesItsLinkUp(t *testing.T) {
	r := newRealm(t, nil)
	acc := r.register("ann", "secret", "ann@a.example")
	_, token, err := r.login(here, "ann", "secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"nobody@a.example", "ann@a.example"} {
		r.askReset(address)
	}
	link := r.link(model.PurposePasswordReset)
	if _, err := r.reset(acc, "x"+link, "other"); !errors.Is(err, account.ErrLink) {
		t.Errorf("a bad link: %v", err)
	}
	got, err := r.reset(acc, link, "other")
	if err != nil || !got.EmailConfirmed || r.alive(token) {
		t.Errorf("%+v, token alive: %t, %v", got, r.alive(token), err)
	}
	if _, err := r.reset(got, link, "third"); !errors.Is(err, account.ErrLink) {
		t.Errorf("the link a second time: %v", err)
	}
	if _, _, err := r.login(here, "ann", "other"); err != nil {
		t.Error(err)
	}
}

func TestAChangedAddressIsTakenBackByItsOwner(t *testing.T) {
	r := newRealm(t, nil)
	acc := r.register("ann", "secret", "ann@a.example")
	_, stolen, err := r.login(here, "ann", "secret")
	if err != nil {
		t.Fatal(err)
	}
	err = r.do("me", func(req *account.Request) error {
		acc, err = req.SetFields(t.Context(), acc.ID, model.Values{"email": "thief@a.example"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	link := r.link(model.PurposeEmailNotice)
	got, _, err := r.activate(acc, link)
	if e := r.lastEvent(); err != nil || got.Email != "ann@a.example" || r.alive(stolen) || e.Name != "email_taken_back" {
		t.Errorf("%+v, token alive: %t, %v, event %s", got, r.alive(stolen), err, e.Name)
	}
}

// A change must not win over a reset that came between it and the check of the
// password.
func TestAPasswordThatWasCheckedIsCheckedAgainWhenItCounts(t *testing.T) {
	r := newRealm(t, nil)
	acc := r.register("ann", "secret", "ann@a.example")
	err := r.do("password", func(req *account.Request) error {
		if _, err := req.CheckPassword(t.Context(), acc.ID, "wrong"); !errors.Is(err, account.ErrPassword) {
			t.Errorf("a wrong password: %v", err)
		}
		checked, err := req.CheckPassword(t.Context(), acc.ID, "secret")
		if err != nil {
			return err
		}
		r.askReset("ann@a.example")
		if _, err := r.reset(acc, r.link(model.PurposePasswordReset), "owner's"); err != nil {
			return err
		}
		if _, err := req.SetPassword(t.Context(), checked, "thief's", model.Digest{}); !errors.Is(err, account.ErrPassword) {
			t.Errorf("set password: %v", err)
		}
		if _, err := req.SetUsername(t.Context(), checked, "thief"); !errors.Is(err, account.ErrPassword) {
			t.Errorf("set username: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.login(here, "ann", "owner's"); err != nil {
		t.Error(err)
	}
}

func TestALoginUpgradesAWeakHash(t *testing.T) {
	r := newRealm(t, nil)
	acc := r.register("ann", "secret", "")
	r.Hasher.Iterations = 2
	if _, _, err := r.login(here, "ann", "secret"); err != nil {
		t.Fatal(err)
	}
	got, err := r.Store.Account(t.Context(), acc.ID)
	if err != nil || got.Password == acc.Password || !strings.Contains(got.Password, "t=2") {
		t.Errorf("%s, %v", got.Password, err)
	}
	if _, _, err := r.login(here, "ann", "secret"); err != nil {
		t.Error(err)
	}
}

func TestOutcomesOfErrors(t *testing.T) {
	r := newRealm(t, nil)
	for i, c := range []struct {
		err     error
		preset  string
		outcome string
	}{
		{nil, "", account.OutcomeOK},
		{account.ErrRefused, "", account.OutcomeRefused},
		{fmt.Errorf("input: %w", account.ErrRefused), account.OutcomeWrong, account.OutcomeWrong},
		{&model.FieldError{Field: "username"}, "", account.OutcomeRefused},
		{&model.TakenError{Field: "username"}, "", account.OutcomeTaken},
		{&account.TooSoonError{Wait: time.Second}, "", account.OutcomeThrottled},
		{account.ErrLink, "", account.OutcomeLink},
		{model.ErrNotFound, "", account.OutcomeRefused},
		{password.ErrBusy, "", account.OutcomeBusy},
		{model.ErrFull, "", account.OutcomeError},
		{model.ErrClosed, account.OutcomeWrong, account.OutcomeError},
	} {
		e := account.Event{Action: "me", Name: "user_changed", Outcome: c.preset, Account: &model.Account{ID: 7}}
		if err := r.Do(t.Context(), e, func(*account.Request) error { return c.err }); !errors.Is(err, c.err) {
			t.Errorf("%v became %v", c.err, err)
		}
		r.wantEvent(i+1, "user_changed", c.outcome, 7)
	}
}

func TestALogoutEndsItsTokenAlone(t *testing.T) {
	r := newRealm(t, nil)
	r.register("ann", "secret", "")
	_, first, err := r.login(here, "ann", "secret")
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := r.login(here, "ann", "secret")
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := model.DigestOf(first)
	for range 2 { // another request may have ended it
		if err := r.do("logout", func(req *account.Request) error { return req.Logout(t.Context(), digest) }); err != nil {
			t.Error(err)
		}
	}
	if r.alive(first) || !r.alive(second) {
		t.Errorf("first token alive: %t, second: %t", r.alive(first), r.alive(second))
	}
}

// Each way in counts the request for the client's networks and reports it, whatever the
// request does.
func TestEveryRequestOfAnOwnerIsCountedAndReported(t *testing.T) {
	const action = "login" // any that has a limit
	r := newRealm(t, func(s *account.Service) {
		s.Rates = &throttle.Settings{Endpoints: map[string][]throttle.Rate{action: {{Times: 1, Per: time.Hour}}}}
	})
	acc := r.register("ann", "secret", "ann@a.example")
	ctx := t.Context()
	token, code := &model.Token{Account: acc.ID}, account.FactorAnswer{Code: "x"}
	somebody := account.Person{Identity: model.Identity{Provider: "corp", Subject: "1"}, Email: "ann@a.example", EmailVerified: true}
	requests := map[string]func(*account.Request) error{
		"Login": func(req *account.Request) error {
			_, _, err := req.Login(ctx, r.Model.Username, "ann", "secret")
			return err
		},
		"Logout":               func(req *account.Request) error { return req.Logout(ctx, model.Digest{}) },
		"LogoutAll":            func(req *account.Request) error { return req.LogoutAll(ctx, acc.ID) },
		"LogoutOthers":         func(req *account.Request) error { return req.LogoutOthers(ctx, acc.ID, model.Digest{}) },
		"TakeHandOver":         func(req *account.Request) error { _, err := req.TakeHandOver(ctx, "x", account.HandOver{}); return err },
		"EndToken":             func(req *account.Request) error { return req.EndToken(ctx, acc.ID, "") },
		"Linked":               func(req *account.Request) error { _, err := req.Linked(ctx, "MQ"); return err },
		"Activate":             func(req *account.Request) error { _, _, err := req.Activate(ctx, acc, "x"); return err },
		"ResetPassword":        func(req *account.Request) error { _, err := req.ResetPassword(ctx, acc, "x", "y"); return err },
		"RequestReset":         func(req *account.Request) error { return req.RequestReset(ctx, "ann@a.example") },
		"ResendActivation":     func(req *account.Request) error { return req.ResendActivation(ctx, "ann@a.example") },
		"CheckPassword":        func(req *account.Request) error { _, err := req.CheckPassword(ctx, acc.ID, "secret"); return err },
		"SetFields":            func(req *account.Request) error { _, err := req.SetFields(ctx, acc.ID, nil); return err },
		"SetUsername":          func(req *account.Request) error { _, err := req.SetUsername(ctx, acc, "ann"); return err },
		"RequestUsernameReset": func(req *account.Request) error { return req.RequestUsernameReset(ctx, "ann@a.example") },
		"ResetUsername":        func(req *account.Request) error { _, err := req.ResetUsername(ctx, acc, "x", "y"); return err },
		"NoLogin":              func(req *account.Request) error { req.NoLogin(); return nil },
		"NoRegistration":       func(req *account.Request) error { req.NoRegistration(); return nil },
		"UsernameTaken":        func(req *account.Request) error { _, err := req.UsernameTaken(ctx, "ann", 0); return err },
		"Reaches":              func(req *account.Request) error { _, err := req.Reaches(ctx, "ann@a.example", "x"); return err },
		"Delete":               func(req *account.Request) error { return req.Delete(ctx, &model.Account{ID: acc.ID}) },
		"DeleteOther":          func(req *account.Request) error { return req.DeleteOther(ctx, acc.ID+99) },
		"LoginSession": func(req *account.Request) error {
			_, _, err := req.LoginSession(ctx, r.Model.Username, "ann", "secret", "x")
			return err
		},
		"MakeNamed": func(req *account.Request) error {
			_, err := req.MakeNamed(ctx, acc.ID, model.Digest{}, &model.Token{Name: "x"})
			return err
		},
		"CheckRefresh":   func(req *account.Request) error { _, err := req.CheckRefresh(ctx, "y", 1); return err },
		"CheckSession":   func(req *account.Request) error { return req.CheckSession(ctx, "y") },
		"Refresh":        func(req *account.Request) error { _, err := req.Refresh(ctx, "y", 1); return err },
		"LoginBy":        func(req *account.Request) error { _, _, err := req.LoginBy(ctx, somebody, ""); return err },
		"LoginSessionBy": func(req *account.Request) error { _, _, err := req.LoginSessionBy(ctx, somebody, "", "x"); return err },
		"Link":           func(req *account.Request) error { _, err := req.Link(ctx, acc, somebody.Identity); return err },
		"Unlink":         func(req *account.Request) error { return req.Unlink(ctx, acc, "x") },
		"Proved":         func(req *account.Request) error { _, err := req.Proved(ctx, token); return err },
		"VerifyFactor":   func(req *account.Request) error { _, _, _, err := req.VerifyFactor(ctx, "x", code, "z"); return err },
		"ConfirmFactor": func(req *account.Request) error {
			_, err := req.ConfirmFactor(ctx, acc.ID, model.Digest{}, "x")
			return err
		},
		"RemoveFactor":     func(req *account.Request) error { return req.RemoveFactor(ctx, acc, code) },
		"NewRecoveryCodes": func(req *account.Request) error { _, err := req.NewRecoveryCodes(ctx, acc, code); return err },
		"ProveByFactor":    func(req *account.Request) error { return req.ProveByFactor(ctx, acc, model.Digest{}, code) },
		"ProvedFactor":     func(req *account.Request) error { _, err := req.ProvedFactor(ctx, token); return err },
		"LoginByPasskey":   func(req *account.Request) error { _, _, _, err := req.LoginByPasskey(ctx, nil, ""); return err },
		"RenamePasskey":    func(req *account.Request) error { _, err := req.RenamePasskey(ctx, acc.ID, "x", "y"); return err },
		"RemovePasskey":    func(req *account.Request) error { return req.RemovePasskey(ctx, acc.ID, "x") },
		"AddPasskey": func(req *account.Request) error {
			_, _, err := req.AddPasskey(ctx, acc.ID, model.Digest{}, "x", nil)
			return err
		},
		"ProveByPassword": func(req *account.Request) error { return req.ProveByPassword(ctx, acc.ID, model.Digest{}, "secret") },
		"SetPassword": func(req *account.Request) error {
			_, err := req.SetPassword(ctx, acc, "secret", model.Digest{})
			return err
		},
		"Register": func(req *account.Request) error {
			_, _, err := req.Register(ctx, model.Values{"username": "bob"}, "secret", "")
			return err
		},
	}
	service := reflect.TypeFor[*account.Service]()
	for m := range reflect.TypeFor[*account.Request]().Methods() {
		serve, ok := requests[m.Name]
		if !ok {
			t.Errorf("%s is missing in this test", m.Name)
			continue
		}
		if _, ok := service.MethodByName(m.Name); ok {
			t.Errorf("%s can be called without Do", m.Name)
		}
		r.pass(2 * time.Hour)
		r.events = nil
		for range 2 {
			err := r.Do(t.Context(), account.Event{Action: action, Client: here}, serve)
			if n := len(r.events); n == 0 || r.events[n-1].By != "owner" {
				t.Fatalf("%s is not reported: %v", m.Name, err)
			}
		}
		if len(r.events) != 2 || r.events[0].Outcome == account.OutcomeThrottled || r.events[1].Outcome != account.OutcomeThrottled {
			t.Errorf("%s: %v", m.Name, r.events)
		}
	}
}
