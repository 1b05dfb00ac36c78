package account

import (
	"slices"
	"time"
)

// A change of an account's address is told to the old one, with a link that takes
// it back: else a stolen token became the account, by a new address and a reset.

// FormerEmail is an address that an account had, or was asked to give up.
type FormerEmail struct {
	Address string
	Changed time.Time
}

// MaxFormerEmails is how many changes of an account can be taken back.
const MaxFormerEmails = 5

// tellFormer tells an address that the account gives it up, and notes for as long
// as a link is good that it had it. The first changes count: whoever goes on
// changing the address must not push out the owner's.
func (a *Service) tellFormer(acc *Account, address string, change *Change, c Client) {
	if address == "" || !a.Rules.SendsMails {
		return
	}
	acc.FormerEmails = slices.DeleteFunc(acc.FormerEmails, func(f FormerEmail) bool {
		return a.Now().Sub(f.Changed) > a.Links.TTL
	})
	known := slices.ContainsFunc(acc.FormerEmails, func(f FormerEmail) bool { return f.Address == address })
	if !known && len(acc.FormerEmails) < MaxFormerEmails {
		acc.FormerEmails = append(acc.FormerEmails, FormerEmail{address, a.Now().Truncate(time.Microsecond)})
	}
	notice := a.mail(PurposeEmailNotice, acc, c)
	notice.Address = address
	change.Mails = append(change.Mails, notice)
}

// LinkTo signs the link of a mail about an account. That of a notice is bound to
// the change that it tells of, and not to the account's serial: what a thief does
// afterwards must not end it. Empty: there is nothing to take back any more.
func (a *Service) LinkTo(m *Mail, acc *Account, to string) string {
	if m.Purpose != PurposeEmailNotice {
		return a.Links.sign(m.Purpose, acc, to)
	}
	for _, f := range acc.FormerEmails {
		if f.Address == to {
			return a.Links.sign(m.Purpose, changeOf(acc, f), to)
		}
	}
	return ""
}

// changeOf stands for the account in a link that takes a change back.
func changeOf(acc *Account, f FormerEmail) *Account {
	return &Account{ID: acc.ID, Serial: uint64(f.Changed.UnixMicro())}
}

// former finds the change that a link takes back. It is -1 for any other link, and
// costs the same for every account.
func (a *Service) former(acc *Account, link string) int {
	found := -1
	for i := range MaxFormerEmails {
		var f FormerEmail
		if i < len(acc.FormerEmails) {
			f = acc.FormerEmails[i]
		}
		good := a.Links.check(PurposeEmailNotice, changeOf(acc, f), f.Address, link)
		if good && i < len(acc.FormerEmails) {
			found = i
		}
	}
	return found
}

// takeBack gives an account the address back that it had before a change, and
// ends every login. That change can't be taken back again, nor a later one.
func (acc *Account) takeBack(i int, change *Change) {
	acc.Email, acc.PendingEmail, acc.EmailConfirmed = acc.FormerEmails[i].Address, "", true
	acc.FormerEmails = slices.Clip(acc.FormerEmails[:i])
	if len(acc.FormerEmails) == 0 {
		acc.FormerEmails = nil
	}
	acc.Serial++
	change.EndTokens = true
}
