package account

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/password"
)

// Whom a mail is about, where it goes, and how many a mailbox gets.

const (
	// maxFound is how many accounts with one address are looked at.
	maxFound = 10_000

	// maxNamed is how many of them one mail names. Of more, half are the oldest,
	// so that nobody who comes later can push out who was there; of the others
	// chance decides each time, so that nobody can take all the places for good.
	maxNamed = 20
)

var (
	// mailRates are those of mails that were asked for by an address, for each
	// purpose.
	mailRates = []Rate{{1, time.Minute}, {5, time.Hour}}

	// changeRates keep an account from being used to send mails to strangers.
	changeRates = []Rate{{5, time.Minute}, {10, time.Hour}}

	// mailboxRates keep somebody from filling the mailbox of another by means of
	// many accounts or spellings of its address.
	mailboxRates = []Rate{{5, time.Minute}, {20, time.Hour}, {50, 24 * time.Hour}}
)

// mayChange counts a new address that an account asks to confirm, and says how
// long it has to wait for another one.
func (a *Service) mayChange(acc *Account) (wait time.Duration, ok bool) {
	if a.Mails == nil {
		return 0, true
	}
	key := limitKey{"mail", string(PurposeEmailChange), strconv.FormatUint(acc.ID, 10)}
	return a.Mails.allow(limit{key, changeRates})
}

// mayAsk counts a mail that is asked for by an address.
func (a *Service) mayAsk(address string, p Purpose) bool {
	if a.Mails == nil {
		return true
	}
	_, ok := a.Mails.allow(limit{limitKey{"asked", string(p), strings.ToLower(address)}, mailRates})
	return ok
}

// mayReach counts a mail to a mailbox, over all accounts and purposes.
//
// What somebody has a claim to is not counted with what others can cause: the
// mail about an account whose address is confirmed, and that for a new password
// to the address itself; both are limited as they are asked for. The notice to
// an old address is counted apart.
func (a *Service) mayReach(m *Mail, to string, named []*Account) bool {
	owned := m.Purpose == PurposePasswordReset && (named[0].EmailConfirmed || !strings.Contains(to, "+"))
	if a.Mails == nil || owned || m.Attempts > 0 {
		return true
	}
	kind := ""
	if m.Purpose == PurposeEmailNotice {
		kind = "notice"
	}
	_, ok := a.Mails.allow(limit{limitKey{"mailbox", kind, mailboxOf(to)}, mailboxRates})
	return ok
}

// mailboxOf is the mailbox behind an address, whose owner may write anything
// behind a plus, and with some providers dots anywhere. Where dots do count,
// those who differ by them share a limit.
func mailboxOf(address string) string {
	address = strings.ToLower(NormalizeEmail(address))
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	local, _, _ := strings.Cut(address[:at], "+")
	return strings.ReplaceAll(local, ".", "") + address[at:]
}

// RequestReset asks for a mail that lets the owner of an address choose a new
// password for each account that has it.
func (a *Service) RequestReset(ctx context.Context, email string, c Client) error {
	if err := a.allowPair("password_reset", strings.ToLower(email), c); err != nil {
		return err
	}
	return a.requestMail(ctx, email, PurposePasswordReset, c)
}

// ResendActivation asks for another mail that activates each account with an
// address that waits for it.
func (a *Service) ResendActivation(ctx context.Context, email string, c Client) error {
	if err := a.allowPair("activate_resend", strings.ToLower(email), c); err != nil {
		return err
	}
	return a.requestMail(ctx, email, PurposeActivation, c)
}

// requestMail puts an entry into the outbox that names the address alone. Whose
// it is is looked up when the mail goes out: a request does the same work for
// an address that many accounts have and for one that nobody has.
func (a *Service) requestMail(ctx context.Context, email string, p Purpose, c Client) error {
	m := a.mail(p, &Account{}, c)
	if address := NormalizeEmail(email); a.mayAsk(address, p) {
		m.Address = address
	}
	return a.Commit(ctx, &Change{Mails: []*Mail{m}})
}

// Named is the accounts that a mail is about, as they are now, and where it
// goes. There are none if there is nothing to send any more.
func (a *Service) Named(ctx context.Context, m *Mail) ([]*Account, string, error) {
	found, err := a.foundFor(ctx, m)
	if err != nil {
		return nil, "", err
	}
	named, to := a.chooseNamed(m, found)
	if len(named) == 0 || !a.mayReach(m, to, named) {
		return nil, "", nil
	}
	return named, to, nil
}

func (a *Service) foundFor(ctx context.Context, m *Mail) ([]*Account, error) {
	if m.Account == 0 {
		return a.Store.AccountsByEmail(ctx, m.Address, maxFound)
	}
	acc, err := a.Store.Account(ctx, m.Account)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return []*Account{acc}, err
}

// chooseNamed chooses the accounts that count. Where an account has an address
// confirmed, who only claims to have it gets no new password by it; but where
// nobody has, as without activation mails, each of them may be the owner's.
//
// The mail goes to the address as it is stored: the way it was asked for if an
// account has it so, for there are hosts that tell Ann@ from ann@.
func (a *Service) chooseNamed(m *Mail, found []*Account) ([]*Account, string) {
	found = slices.DeleteFunc(found, func(acc *Account) bool {
		_, ok := m.recipient(acc)
		return !ok || a.ended(acc)
	})
	confirmed := func(acc *Account) bool { return acc.EmailConfirmed }
	if m.Purpose == PurposePasswordReset && slices.ContainsFunc(found, confirmed) {
		found = slices.DeleteFunc(found, func(acc *Account) bool { return !acc.EmailConfirmed })
	}
	if len(found) == 0 {
		return nil, ""
	}
	to, _ := m.recipient(found[0])
	for _, acc := range found {
		if address, _ := m.recipient(acc); NormalizeEmail(address) == m.Address {
			to = address
			break
		}
	}
	found = slices.DeleteFunc(found, func(acc *Account) bool {
		address, _ := m.recipient(acc)
		return NormalizeEmail(address) != NormalizeEmail(to)
	})
	if len(found) > maxNamed {
		later := found[maxNamed/2:]
		rand.Shuffle(len(later), func(i, j int) { later[i], later[j] = later[j], later[i] })
		found = found[:maxNamed]
	}
	return found, to
}

// recipient is the address that a mail about an account goes to now, if it is
// still to be sent.
func (m *Mail) recipient(acc *Account) (string, bool) {
	switch m.Purpose {
	case PurposeActivation:
		return acc.PendingEmail, waitsForActivation(acc)
	case PurposeEmailChange:
		return acc.PendingEmail, acc.IsActive && acc.PendingEmail != ""
	case PurposePasswordReset:
		return acc.Email, acc.Email != "" && (acc.IsActive || acc.Provisional) && password.Usable(acc.Password)
	case PurposeEmailNotice:
		return m.Address, m.Address != ""
	}
	return "", false
}
