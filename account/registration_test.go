package account_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
)

// signUp registers with an invitation.
func (r *realm) signUp(name, email, code string) (acc *model.Account, err error) {
	err = r.do("register", func(req *account.Request) error {
		v := model.Values{"username": name, "email": email, "groups": []string{"admins"}}
		acc, _, err = req.Register(r.t.Context(), v, "secret-Pw1", code)
		return err
	})
	return acc, err
}

// invite makes an invitation that is mailed, and returns its code from the mail.
func (r *realm) invite(address string, groups ...string) string {
	r.t.Helper()
	if _, err := r.Invite(r.t.Context(), address, groups, false, here); err != nil {
		r.t.Fatal(err)
	}
	return r.link(model.PurposeInvitation)
}

// purposes returns the purposes of the mails in the outbox that have somebody to go to,
// with their recipients.
func (r *realm) purposes() (found []string) {
	r.t.Helper()
	mails, err := r.Store.Mails(r.t.Context(), r.now.Add(time.Hour), 100)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range mails {
		named, to, err := r.Named(r.t.Context(), m)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(named) > 0 {
			found = append(found, string(m.Purpose)+" "+to)
		}
	}
	return found
}

func registration(as account.Registration) func(*account.Service) {
	return func(s *account.Service) {
		s.Rules.Registration, s.Rules.SendActivationEmail = as, true
		s.Rules.Approvers = []string{"boss@example.com"}
		s.Rules.LoginAfterActivation, s.Rules.LoginAfterRegistration = true, true
	}
}

func TestAnInvitationIsGoodOnceForItsAddressAndGroups(t *testing.T) {
	r := newRealm(t, registration(account.RegistrationInvite))
	code := r.invite("ann@example.com", "editors")
	for what, try := range map[string]struct{ email, code string }{
		"without an invitation":         {"ann@example.com", ""},
		"another address":               {"eve@example.com", code},
		"a code of somebody else":       {"ann@example.com", "x" + code},
		"a changed token":               {"ann@example.com", code[:len(code)-1] + "x"},
		"only the address":              {"ann@example.com", code[:20]},
		"a code that nobody ever made":  {"ann@example.com", "."},
		"the address without the token": {"", "YW5uQGV4YW1wbGUuY29t."},
	} {
		if _, err := r.signUp("eve", try.email, try.code); !errors.Is(err, account.ErrUninvited) {
			t.Errorf("%s: %v", what, err)
		}
	}
	acc, err := r.signUp("ann", "ANN@example.com", code)
	if err != nil || !acc.IsActive || !acc.EmailConfirmed || acc.Email != "ann@example.com" || !slices.Equal(acc.Groups, []string{"editors"}) {
		t.Fatalf("%+v %v", acc, err)
	}
	if _, err := r.signUp("ann2", "ann@example.com", code); !errors.Is(err, account.ErrUninvited) {
		t.Error("the invitation was good twice:", err)
	}
	if open, err := r.Invitations(t.Context()); err != nil || len(open) > 0 {
		t.Error("a used invitation is listed", err)
	}
}

func TestInvitationsEnd(t *testing.T) {
	r := newRealm(t, registration(account.RegistrationInvite))
	expired := r.invite("ann@example.com")
	r.pass(73 * time.Hour)
	replaced := r.invite("bob@example.com")
	r.pass(time.Second)
	if _, err := r.Invite(t.Context(), "BOB@example.com", nil, true, here); err != nil {
		t.Fatal(err)
	}
	revoked := r.invite("carol@example.com")
	if _, err := r.Uninvite(t.Context(), "Carol@example.com"); err != nil {
		t.Fatal(err)
	}
	for email, code := range map[string]string{"ann@example.com": expired, "bob@example.com": replaced, "carol@example.com": revoked} {
		if _, err := r.signUp("eve", email, code); !errors.Is(err, account.ErrUninvited) {
			t.Errorf("%s: %v", email, err)
		}
	}
	if mails := r.purposes(); len(mails) > 0 {
		t.Errorf("mails of invitations that ended: %q", mails)
	}
}

func TestAnInvitationIsGoodOnceForTwoAtATime(t *testing.T) {
	r := newRealm(t, registration(account.RegistrationInvite))
	code := r.invite("ann@example.com")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = r.signUp("ann"+string(rune('a'+i)), "ann@example.com", code) })
	}
	wg.Wait()
	in := 0
	for _, err := range errs {
		switch {
		case err == nil:
			in++
		case !errors.Is(err, account.ErrUninvited):
			t.Error(err)
		}
	}
	if in != 1 {
		t.Errorf("%d accounts of one invitation", in)
	}
}

func TestAPrintedInvitationDoesNotConfirmTheAddress(t *testing.T) {
	r := newRealm(t, registration(account.RegistrationApprove))
	i, err := r.Invite(t.Context(), "ann@example.com", []string{"editors"}, true, here)
	if err != nil {
		t.Fatal(err)
	}
	acc, err := r.signUp("ann", "ann@example.com", r.Links.Code(i))
	if err != nil || acc.IsActive || acc.EmailConfirmed || acc.Waiting {
		t.Fatalf("%+v %v", acc, err)
	}
	if acc, _, err := r.activate(acc, r.link(model.PurposeActivation)); err != nil || !acc.IsActive {
		t.Errorf("%+v %v", acc, err)
	}
}

func TestNothingButApprovalLetsAWaitingAccountIn(t *testing.T) {
	for _, by := range []model.Purpose{model.PurposeActivation, model.PurposePasswordReset} {
		t.Run(string(by), func(t *testing.T) {
			r := newRealm(t, registration(account.RegistrationApprove))
			acc := r.register("ann", "secret-Pw1", "ann@example.com")
			if mails := r.purposes(); !slices.Equal(mails, []string{"activation ann@example.com"}) {
				t.Errorf("the approvers hear of an address that nobody confirmed: %q", mails)
			}
			var token string
			var err error
			if by == model.PurposeActivation {
				acc, token, err = r.activate(acc, r.link(by))
			} else {
				r.askReset("ann@example.com")
				acc, err = r.reset(acc, r.link(by), "secret-Pw1")
			}
			if err != nil || acc.IsActive || token != "" || !acc.EmailConfirmed {
				t.Fatalf("%+v %q %v", acc, token, err)
			}
			if !slices.Contains(r.purposes(), "account_waiting boss@example.com") {
				t.Error("the approvers don't hear of it")
			}
			r.askReset("ann@example.com")
			if mails := r.purposes(); slices.Contains(mails, "password_reset ann@example.com") {
				t.Errorf("a waiting account gets a reset: %q", mails)
			}
			if _, _, err := r.login(here, "ann", "secret-Pw1"); !errors.Is(err, account.ErrDisabled) {
				t.Error(err)
			}
			if _, err := r.SendActivation(t.Context(), acc.ID, here); err == nil {
				t.Error("a waiting account gets another activation link")
			}
			if acc, err = r.Approve(t.Context(), acc.ID, here); err != nil || !acc.IsActive {
				t.Fatal(err)
			}
			if _, _, err := r.login(here, "ann", "secret-Pw1"); err != nil {
				t.Error(err)
			}
			if !slices.Contains(r.purposes(), "account_approved ann@example.com") {
				t.Error("the owner isn't told")
			}
			if _, err := r.Reject(t.Context(), acc.ID, here); !errors.Is(err, account.ErrNotWaiting) {
				t.Error("an account that is in can be rejected:", err)
			}
		})
	}
}

func TestARejectedAccountIsGoneAndItsOwnerTold(t *testing.T) {
	r := newRealm(t, registration(account.RegistrationApprove))
	acc := r.register("ann", "secret-Pw1", "ann@example.com")
	if acc, _, err := r.activate(acc, r.link(model.PurposeActivation)); err != nil || acc.IsActive {
		t.Fatal(err)
	}
	if _, err := r.Reject(t.Context(), acc.ID, here); err != nil {
		t.Fatal(err)
	}
	if mails := r.purposes(); !slices.Equal(mails, []string{"account_rejected ann@example.com"}) {
		t.Errorf("%q", mails)
	}
	r.register("ann", "secret-Pw1", "ann@example.com")
}

func TestClosedRegistrationTakesNobody(t *testing.T) {
	r := newRealm(t, registration(account.RegistrationClosed))
	if _, err := r.signUp("ann", "ann@example.com", ""); !errors.Is(err, account.ErrRegistrationClosed) {
		t.Error(err)
	}
}

func TestAQuietRegistrationAnswersTheSameForAKnownAddress(t *testing.T) {
	for _, username := range []string{"username", "email"} {
		t.Run(username, func(t *testing.T) {
			on := true
			r := newRealm(t, func(s *account.Service) {
				registration(account.RegistrationOpen)(s)
				s.Rules.QuietRegistration = true
				u := &model.UserModel{UsernameField: username, Fields: []model.FieldSettings{{Name: "email", Unique: &on}}}
				var err error
				if s.Model, err = u.Resolve(nil); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Model.Reindex(t.Context(), s.Store); err != nil {
					t.Fatal(err)
				}
			})
			known := r.register("ann", "secret-Pw1", "ann@example.com")
			if _, _, err := r.activate(known, r.link(model.PurposeActivation)); err != nil {
				t.Fatal(err)
			}
			loginErr := make(map[string]error)
			for i, email := range []string{"ANN@example.com", "new@example.com"} {
				for range 2 { // the second tells no more than the first
					acc, _, err := r.tryRegister(model.Values{"username": "eve" + string(rune('a'+i)), "email": email}, "secret-Pw2")
					if username == "username" && errors.As(err, new(*model.TakenError)) {
						continue
					}
					if err != nil || acc.IsActive || acc.Email != email {
						t.Errorf("%s: %+v %v", email, acc, err)
					}
				}
				name := email
				if username == "username" {
					name = "eve" + string(rune('a'+i))
				}
				_, _, loginErr[email] = r.login(here, name, "secret-Pw2")
			}
			if loginErr["ANN@example.com"] != loginErr["new@example.com"] {
				t.Errorf("a log-in shows which address was known: %v", loginErr)
			}
			mails := r.purposes()
			if !slices.Contains(mails, "account_exists ann@example.com") || slices.Contains(mails, "activation ANN@example.com") {
				t.Errorf("%q", mails)
			}
		})
	}
}
