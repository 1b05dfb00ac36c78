package account

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddy-djoser/djoser/throttle"
)

// The accounts and the recipient of a mail, and limits on mails.

const (
	// maxFound is how many accounts with one address are considered.
	maxFound = 10_000

	// maxNamed is how many of them one mail names. If there are more, half are the
	// oldest, so that newer accounts can't push them out; the others are chosen at
	// random each time, so that nobody can occupy all places.
	maxNamed = 20
)

var (
	// mailRates limit mails requested for an address, by purpose.
	mailRates = []throttle.Rate{{Times: 1, Per: time.Minute}, {Times: 5, Per: time.Hour}}

	// changeRates limit changes of an address, each of which mails a stranger.
	changeRates = []throttle.Rate{{Times: 5, Per: time.Minute}, {Times: 10, Per: time.Hour}}

	// mailboxRates limit mails to one mailbox by many accounts, or spellings of its
	// address.
	mailboxRates = []throttle.Rate{{Times: 5, Per: time.Minute}, {Times: 20, Per: time.Hour}, {Times: 50, Per: 24 * time.Hour}}
)

// mayChange counts a new address of an account, and returns how long to wait for
// another one.
func (a *Service) mayChange(ctx context.Context, acc *model.Account) (wait time.Duration, ok bool) {
	if a.Rates.Off {
		return 0, true
	}
	key := throttle.Key{"mail", string(model.PurposeEmailChange), strconv.FormatUint(acc.ID, 10)}
	return a.mails().Allow(ctx, throttle.Limit{Key: key, Rates: changeRates})
}

// mayAsk counts a mail requested for an address.
func (a *Service) mayAsk(ctx context.Context, address string, p model.Purpose) bool {
	if a.Rates.Off {
		return true
	}
	_, ok := a.mails().Allow(ctx, throttle.Limit{Key: throttle.Key{"asked", string(p), strings.ToLower(address)}, Rates: mailRates})
	return ok
}

// mayReach counts a mail to a mailbox, over all accounts and purposes.
//
// It doesn't count mails that an owner has a right to together with those that others
// can cause: mails about an account with a confirmed address, and resets for the
// address itself, which have limits of their own. Notices are counted apart, and those of
// what one can do again and again apart from them.
func (a *Service) mayReach(ctx context.Context, m *model.Mail, to string, named []*model.Account) bool {
	if m.Purpose == model.PurposeInvitation {
		return true // only administrators send them
	}
	owned := (m.Purpose == model.PurposePasswordReset || m.Purpose == model.PurposeUsernameReset) && (named[0].EmailConfirmed || !strings.Contains(to, "+"))
	if a.Rates.Off || owned || m.Attempts > 0 {
		return true
	}
	kind := ""
	switch {
	case m.About != "": // who has stolen a log-in can cause many
		kind = "notice about"
	case !m.Purpose.HasLink():
		kind = "notice"
	}
	_, ok := a.mails().Allow(ctx, throttle.Limit{Key: throttle.Key{"mailbox", kind, mailboxOf(to)}, Rates: mailboxRates})
	return ok
}

// mailboxOf returns the mailbox of an address. It ignores what follows a plus, and dots,
// which some providers ignore. With other providers, addresses that only differ by
// dots share a limit.
func mailboxOf(address string) string {
	address = strings.ToLower(fieldtype.NormalizeEmail(address))
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	local, _, _ := strings.Cut(address[:at], "+")
	return strings.ReplaceAll(local, ".", "") + address[at:]
}

// notify adds a notice to the current address, if there is one.
func (a *Service) notify(change *model.Change, p model.Purpose, acc *model.Account, c Client) {
	a.notifyAbout(change, p, acc, "", c)
}

// notifyAbout is notify for a notice about something.
func (a *Service) notifyAbout(change *model.Change, p model.Purpose, acc *model.Account, about string, c Client) {
	if acc.Email == "" || !a.Rules.SendsMails {
		return
	}
	m := a.mail(p, acc, c)
	m.Address, m.About = acc.Email, about
	change.Mails = append(change.Mails, m)
}

// RequestReset requests a mail with links to reset the password of each account with an
// address. It does the same whether there are any. Errors: *TooSoonError, those of
// Store.Commit.
func (r *Request) RequestReset(ctx context.Context, email string) error {
	a, c := r.accounts, r.event.Client
	if err := a.allowPair(ctx, "password_reset", strings.ToLower(email), c); err != nil {
		return err
	}
	return a.requestMail(ctx, email, model.PurposePasswordReset, c)
}

// RequestUsernameReset requests a mail with links to choose another username for each
// active account with an address. It does the same whether there are any. Errors:
// *TooSoonError, those of Store.Commit.
func (r *Request) RequestUsernameReset(ctx context.Context, email string) error {
	a, c := r.accounts, r.event.Client
	if err := a.allowPair(ctx, "username_reset", strings.ToLower(email), c); err != nil {
		return err
	}
	return a.requestMail(ctx, email, model.PurposeUsernameReset, c)
}

// Reaches reports whether a mail that is requested for an address would be about an
// account.
func (r *Request) Reaches(ctx context.Context, email string, p model.Purpose) (bool, error) {
	a := r.accounts
	m := a.mail(p, &model.Account{}, r.event.Client)
	m.Address = fieldtype.NormalizeEmail(email)
	found, err := a.foundFor(ctx, m)
	if err != nil {
		return false, err
	}
	named, _ := a.chooseNamed(m, found)
	return len(named) > 0, nil
}

// ResendActivation requests another activation mail for each waiting account with an
// address. It does the same whether there are any. Errors: *TooSoonError, those of
// Store.Commit.
func (r *Request) ResendActivation(ctx context.Context, email string) error {
	a, c := r.accounts, r.event.Client
	if err := a.allowPair(ctx, "activate_resend", strings.ToLower(email), c); err != nil {
		return err
	}
	return a.requestMail(ctx, email, model.PurposeActivation, c)
}

// requestMail adds an entry with only the address to the outbox. Its accounts are looked
// up when the mail is sent, so that a request does the same work for any address.
func (a *Service) requestMail(ctx context.Context, email string, p model.Purpose, c Client) error {
	m := a.mail(p, &model.Account{}, c)
	if address := fieldtype.NormalizeEmail(email); a.mayAsk(ctx, address, p) {
		m.Address = address
	} else {
		a.Reporter.Mailed(OutcomeThrottled, &model.Mail{Purpose: p, Address: address})
	}
	return a.Commit(ctx, &model.Change{Mails: []*model.Mail{m}})
}

// Named returns the current accounts and the recipient of a mail. There are no accounts
// if there is nothing to send any more.
func (a *Service) Named(ctx context.Context, m *model.Mail) ([]*model.Account, string, error) {
	found, err := a.foundFor(ctx, m)
	if err != nil {
		return nil, "", err
	}
	named, to := a.chooseNamed(m, found)
	if len(named) == 0 {
		return nil, "", nil
	}
	if !a.mayReach(ctx, m, to, named) {
		a.Reporter.Mailed(OutcomeThrottled, m)
		return nil, "", nil
	}
	return named, to, nil
}

func (a *Service) foundFor(ctx context.Context, m *model.Mail) ([]*model.Account, error) {
	switch {
	case m.Purpose == model.PurposeInvitation:
		return a.invitedTo(ctx, m.Address)
	case m.Purpose == model.PurposeRejected:
		return []*model.Account{{Email: m.Address}}, nil // it was deleted
	case m.Account == 0 || m.Purpose == model.PurposeAccountExists:
		return a.Store.AccountsByEmail(ctx, m.Address, maxFound)
	}
	acc, err := a.Store.Account(ctx, m.Account)
	if errors.Is(err, model.ErrNotFound) {
		return nil, nil
	}
	return []*model.Account{acc}, err
}

// chooseNamed chooses the accounts of a mail. If an account has confirmed the address,
// others that only claim it get no reset. If none has, as without activation mails, any
// of them may be the owner's.
//
// The recipient is the address as stored, if possible as requested, since some hosts
// distinguish Ann@ and ann@.
func (a *Service) chooseNamed(m *model.Mail, found []*model.Account) ([]*model.Account, string) {
	found = slices.DeleteFunc(found, func(acc *model.Account) bool {
		_, ok := recipient(m, acc)
		return !ok || a.ended(acc)
	})
	confirmed := func(acc *model.Account) bool { return acc.EmailConfirmed }
	resets := m.Purpose == model.PurposePasswordReset || m.Purpose == model.PurposeUsernameReset
	if resets && slices.ContainsFunc(found, confirmed) {
		found = slices.DeleteFunc(found, func(acc *model.Account) bool { return !acc.EmailConfirmed })
	}
	if len(found) == 0 {
		return nil, ""
	}
	to, _ := recipient(m, found[0])
	for _, acc := range found {
		if address, _ := recipient(m, acc); fieldtype.NormalizeEmail(address) == m.Address {
			to = address
			break
		}
	}
	found = slices.DeleteFunc(found, func(acc *model.Account) bool {
		address, _ := recipient(m, acc)
		return fieldtype.NormalizeEmail(address) != fieldtype.NormalizeEmail(to)
	})
	if len(found) > maxNamed {
		later := found[maxNamed/2:]
		rand.Shuffle(len(later), func(i, j int) { later[i], later[j] = later[j], later[i] })
		found = found[:maxNamed]
	}
	return found, to
}

// recipient returns the current recipient of a mail about an account, if it still should
// be sent.
func recipient(m *model.Mail, acc *model.Account) (string, bool) {
	switch m.Purpose {
	case model.PurposeActivation:
		return acc.PendingEmail, waitsForActivation(acc)
	case model.PurposeEmailChange:
		return acc.PendingEmail, acc.IsActive && acc.PendingEmail != ""
	case model.PurposePasswordReset:
		return acc.Email, acc.Email != "" && (acc.IsActive || acc.Provisional) && acc.MayHavePassword()
	case model.PurposeUsernameReset:
		return acc.Email, acc.Email != "" && acc.IsActive && password.Usable(acc.Password)
	case model.PurposeEmailNotice, model.PurposeConfirmation, model.PurposePasswordChanged, model.PurposeUsernameChanged, model.PurposeFactorOn, model.PurposeFactorOff,
		model.PurposePasskeyAdded, model.PurposePasskeyRemoved, model.PurposeTokenMade, model.PurposeIdentityLinked, model.PurposeIdentityRemoved:
		return m.Address, m.Address != ""
	case model.PurposeWaiting:
		return m.Address, acc.Waiting
	case model.PurposeApproved, model.PurposeAccountExists:
		return acc.Email, acc.Email != "" && acc.IsActive
	case model.PurposeRejected, model.PurposeInvitation:
		return acc.Email, acc.Email != ""
	}
	return "", false
}
