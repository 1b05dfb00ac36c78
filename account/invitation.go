package account

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
)

var (
	// ErrUninvited means that only the invited may sign up, or that an invitation is
	// for another address, was used or revoked, or has expired.
	ErrUninvited = fmt.Errorf("%w: there is no such invitation", ErrRefused)

	// ErrNoInvitations means that the store can't keep invitations.
	ErrNoInvitations = errors.New("the store keeps no invitations")
)

// The code of an invitation is its address and a token that is signed with the key of
// links. So it needs no record of its own, and a mail can be sent again.

// Code returns the code of an invitation.
func (l *Links) Code(i *model.Invitation) string {
	return base64.RawURLEncoding.EncodeToString([]byte(i.Address)) + "." + l.sign(model.PurposeInvitation, signee(i), i.Address)
}

// signee returns the account to sign for: one that is invited again has another serial.
func signee(i *model.Invitation) *model.Account {
	return &model.Account{Serial: uint64(i.Created.UnixMicro())}
}

// maxCode is the maximum length of a code.
const maxCode = (fieldtype.MaxAddress*4+2)/3 + 1 + maxLinkToken

// invitation returns the invitation of a code. Errors: ErrUninvited, those of the store.
func (a *Service) invitation(ctx context.Context, code string) (*model.Invitation, error) {
	s, err := a.invitations()
	if err != nil {
		return nil, err
	}
	encoded, token, _ := strings.Cut(code, ".")
	address, bad := base64.RawURLEncoding.DecodeString(encoded)
	if bad != nil || len(code) > maxCode {
		return nil, ErrUninvited
	}
	i, err := s.Invitation(ctx, string(address))
	if errors.Is(err, model.ErrNotFound) {
		return nil, ErrUninvited
	}
	if err != nil {
		return nil, err
	}
	if !a.Links.check(model.PurposeInvitation, signee(i), i.Address, token) || !a.Now().Before(i.Expires) {
		return nil, ErrUninvited
	}
	return i, nil
}

func (a *Service) invitations() (model.InvitationStore, error) {
	s, ok := model.As[model.InvitationStore](a.Store)
	if !ok {
		return nil, ErrNoInvitations
	}
	return s, nil
}

// accept puts into the values of a new account what its invitation is for. Errors:
// ErrUninvited if they have another address.
func accept(i *model.Invitation, m *model.Model, v model.Values) error {
	given := v.Text("email")
	if given != "" && !strings.EqualFold(fieldtype.NormalizeEmail(given), fieldtype.NormalizeEmail(i.Address)) || m.Field("email") == nil {
		return ErrUninvited
	}
	v["email"] = i.Address
	return nil
}

// Invite makes an invitation, which replaces an earlier one of the address, and mails
// its link unless it is returned to be passed on. Errors: *FieldError,
// ErrNoInvitations.
func (a *Service) Invite(ctx context.Context, address string, groups []string, pass bool, c Client) (*model.Invitation, error) {
	if _, err := a.invitations(); err != nil {
		return nil, err
	}
	address, messages := ParseAddress(address)
	if len(messages) > 0 {
		return nil, &model.FieldError{Field: "address", Messages: messages}
	}
	slices.Sort(groups)
	now := a.Now().Truncate(time.Microsecond)
	i := &model.Invitation{Address: address, Groups: slices.Compact(groups), Mailed: !pass, Created: now, Expires: now.Add(a.Links.TTL)}
	change := &model.Change{Invite: i}
	if i.Mailed {
		m := a.mail(model.PurposeInvitation, &model.Account{}, c)
		m.Address = address
		change.Mails = []*model.Mail{m}
	}
	return i, a.Commit(ctx, change)
}

// ParseAddress returns the stored form of an address, or messages if it isn't one.
func ParseAddress(text string) (string, []string) {
	value, messages := fieldtype.Email{}.Parse(text, fieldtype.MaxAddress)
	address, _ := value.(string)
	if len(messages) == 0 && address == "" {
		messages = []string{fieldtype.MsgRequired}
	}
	return address, messages
}

// Uninvite ends an invitation. Errors: ErrNotFound, ErrNoInvitations.
func (a *Service) Uninvite(ctx context.Context, address string) (*model.Invitation, error) {
	s, err := a.invitations()
	if err != nil {
		return nil, err
	}
	i, err := s.Invitation(ctx, address)
	if err != nil {
		return nil, err
	}
	return i, a.Commit(ctx, &model.Change{Uninvite: i})
}

// Invitations returns the invitations that are open, in order of their addresses.
func (a *Service) Invitations(ctx context.Context) ([]*model.Invitation, error) {
	s, err := a.invitations()
	if err != nil {
		return nil, err
	}
	all, err := s.Invitations(ctx)
	slices.SortFunc(all, func(x, y *model.Invitation) int { return strings.Compare(x.Address, y.Address) })
	return all, err
}

// invitedTo returns the account that the mail of an invitation is about, if it is still
// open and its code was only mailed.
func (a *Service) invitedTo(ctx context.Context, address string) ([]*model.Account, error) {
	s, err := a.invitations()
	if err != nil {
		return nil, err
	}
	i, err := s.Invitation(ctx, address)
	if errors.Is(err, model.ErrNotFound) || err == nil && !i.Mailed {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	acc := signee(i)
	acc.Email = i.Address
	return []*model.Account{acc}, nil
}
