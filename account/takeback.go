package account

import (
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// A change of an account's address sends a notice to the former address, with a link
// that takes it back. Otherwise the thief of a token could take over the account, by a
// new address and a reset.

// MaxFormerEmails is the maximum number of changes that can be taken back.
const MaxFormerEmails = 5

// tellFormer sends a notice to the former address, and records it for as long as links
// are valid. The oldest addresses are kept, so that more changes don't push out the
// owner's.
func (a *Service) tellFormer(acc *model.Account, address string, change *model.Change, c Client) {
	if address == "" || !a.Rules.SendsMails {
		return
	}
	acc.FormerEmails = slices.DeleteFunc(acc.FormerEmails, func(f model.FormerEmail) bool {
		return a.Now().Sub(f.Changed) > a.Links.TTL
	})
	known := slices.ContainsFunc(acc.FormerEmails, func(f model.FormerEmail) bool { return f.Address == address })
	if !known && len(acc.FormerEmails) < MaxFormerEmails {
		acc.FormerEmails = append(acc.FormerEmails, model.FormerEmail{Address: address, Changed: a.Now().Truncate(time.Microsecond)})
	}
	notice := a.mail(model.PurposeEmailNotice, acc, c)
	notice.Address = address
	change.Mails = append(change.Mails, notice)
}

// LinkTo returns the token of the link in a mail about an account, or nothing for a mail
// without a link. That of a notice
// depends on the change and not on the account's serial, so that a thief can't
// invalidate it. It is empty if there is nothing to take back any more.
func (a *Service) LinkTo(m *model.Mail, acc *model.Account, to string) string {
	switch {
	case m.Purpose == model.PurposeInvitation:
		return a.Links.Code(&model.Invitation{Address: to, Created: time.UnixMicro(int64(acc.Serial))})
	case m.Purpose.HasLink():
		return a.Links.sign(m.Purpose, acc, to)
	case m.Purpose != model.PurposeEmailNotice:
		return ""
	}
	for _, f := range acc.FormerEmails {
		if f.Address == to {
			return a.Links.sign(m.Purpose, changeOf(acc, f), to)
		}
	}
	return ""
}

// changeOf returns the account to sign for a link that takes back a change.
func changeOf(acc *model.Account, f model.FormerEmail) *model.Account {
	return &model.Account{ID: acc.ID, Serial: uint64(f.Changed.UnixMicro())}
}

// former returns the index of the change that a link takes back, or -1. It costs the
// same for every account.
func (a *Service) former(acc *model.Account, link string) int {
	found := -1
	for i := range MaxFormerEmails {
		var f model.FormerEmail
		if i < len(acc.FormerEmails) {
			f = acc.FormerEmails[i]
		}
		good := a.Links.check(model.PurposeEmailNotice, changeOf(acc, f), f.Address, link)
		if good && i < len(acc.FormerEmails) {
			found = i
		}
	}
	return found
}
