package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// EncodeUID returns the uid of a link: the account's id in decimal digits, in base64url
// without padding, as by Django's urlsafe_base64_encode.
func EncodeUID(id uint64) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendUint(nil, id, 10))
}

// decodeUID decodes a uid. It accepts only the canonical form.
func decodeUID(uid string) (uint64, bool) {
	if len(uid) > 27 { // of the 20 digits of the greatest id
		return 0, false
	}
	digits, err := base64.RawURLEncoding.DecodeString(uid)
	if err != nil {
		return 0, false
	}
	id, err := strconv.ParseUint(string(digits), 10, 64)
	return id, err == nil && EncodeUID(id) == uid
}

// Links signs and checks the tokens of links. A token is valid for one purpose, one
// account and one address, until the account's serial increases or TTL is over. It is
// the time of signing, and an HMAC-SHA256 (RFC 2104) over all of these, cut to 160 bits.
type Links struct {
	Key []byte
	TTL time.Duration
	Now func() time.Time
}

func (l *Links) sign(p model.Purpose, a *model.Account, address string) string {
	return l.token(p, a, address, l.Now().Unix())
}

// maxLinkToken is the length of a token with a time of twelve digits, in the far future.
const maxLinkToken = 12 + 1 + 40

// check checks a token in constant time.
func (l *Links) check(p model.Purpose, a *model.Account, address, token string) bool {
	if len(token) > maxLinkToken {
		return false
	}
	stamp, _, ok := strings.Cut(token, "-")
	made, err := strconv.ParseInt(stamp, 36, 64)
	if !ok || err != nil {
		return false
	}
	age := l.Now().Sub(time.Unix(made, 0))
	fresh := age < l.TTL && age > -model.MaxSetBack
	return hmac.Equal([]byte(l.token(p, a, address, made)), []byte(token)) && fresh
}

func (l *Links) token(p model.Purpose, a *model.Account, address string, made int64) string {
	mac := hmac.New(sha256.New, l.Key)
	var b []byte
	for _, s := range []string{string(p), address} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, a.ID)
	b = binary.AppendUvarint(b, a.Serial)
	b = binary.AppendVarint(b, made)
	mac.Write(b)
	return strconv.FormatInt(made, 36) + "-" + hex.EncodeToString(mac.Sum(nil)[:20])
}

// Linked returns the account of the uid in a link, or ErrNotFound.
func (r *Request) Linked(ctx context.Context, uid string) (*model.Account, error) {
	id, ok := decodeUID(uid)
	if !ok {
		return nil, model.ErrNotFound
	}
	return r.accounts.Store.Account(ctx, id)
}

// LinkOf returns the account and the purpose of a link that is good now. It uses nothing
// up. Errors: ErrLink, those of Store.Account.
func (a *Service) LinkOf(ctx context.Context, uid, link string) (*model.Account, model.Purpose, error) {
	id, ok := decodeUID(uid)
	if !ok {
		return nil, "", ErrLink
	}
	acc, err := a.Store.Account(ctx, id)
	if errors.Is(err, model.ErrNotFound) {
		return nil, "", ErrLink
	}
	if err != nil {
		return nil, "", err
	}
	purpose, _ := a.purposeOf(acc, link)
	if _, ok := a.checkReset(acc, link); ok && purpose == "" {
		purpose = model.PurposePasswordReset
	}
	if purpose == "" {
		return nil, "", ErrLink
	}
	return acc, purpose, nil
}

// purposeOf returns what a link does that is for Activate, and the change that it takes
// back. The purpose is empty if it does nothing. It checks the link first, so that a bad
// one costs the same for every account.
func (a *Service) purposeOf(acc *model.Account, link string) (p model.Purpose, former int) {
	p = model.PurposeActivation
	if acc.IsActive {
		p = model.PurposeEmailChange
	}
	good, former := a.Links.check(p, acc, acc.PendingEmail, link), a.former(acc, link)
	switch {
	case former >= 0 && acc.IsActive:
		return model.PurposeEmailNotice, former
	case !good || acc.PendingEmail == "" || a.ended(acc):
		return "", -1
	}
	return p, -1
}

// useLink is Update by a link. If an address can't be taken back, because another
// account has it by now, it still ends every log-in.
func (a *Service) useLink(ctx context.Context, id uint64, use func(*model.Account, *model.Change) (takenBack bool, err error)) (*model.Account, error) {
	takenBack := false
	acc, err := a.Update(ctx, id, func(acc *model.Account, change *model.Change) (err error) {
		takenBack, err = use(acc, change)
		return err
	})
	if takenBack && errors.As(err, new(*model.TakenError)) {
		_, ended := a.RevokeAll(ctx, id)
		err = errors.Join(err, ended)
	}
	return acc, err
}
