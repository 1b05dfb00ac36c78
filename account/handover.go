package account

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// HandOver is the way of a log-in to another host of the same realm, which can't see the
// cookie. The host gives the browser a nonce, and sends it to the log-in page; that sends
// it back with a link; and the host makes a token of its own for the link and the nonce.
type HandOver struct {
	Host  string // such as wiki.example.com, or wiki.example.com:8443
	Nonce string // digest of the nonce
}

// handOverTTL is how long a link of a hand-over is valid.
const handOverTTL = time.Minute

// purposeHandOver is the purpose of these links. They are in no mail.
const purposeHandOver model.Purpose = "hand_over"

// SignHandOver returns a link for a log-in. It is good for a minute, for one host and for
// the browser with the nonce, and ends with the log-in. Errors: ErrNotFound.
func (a *Service) SignHandOver(ctx context.Context, login model.Digest, h HandOver) (link string, err error) {
	t, acc, err := a.Store.Token(ctx, login)
	if err != nil {
		return "", err
	}
	if !t.IsLogin() || t.IsNamed() {
		return "", model.ErrNotFound
	}
	links := a.handOverLinks()
	return hex.EncodeToString(login[:]) + "." + links.sign(purposeHandOver, acc, h.signed(login)), nil
}

func (a *Service) handOverLinks() Links {
	return Links{Key: a.Links.Key, TTL: handOverTTL, Now: a.Links.Now}
}

// signed returns what a link is signed over, in addition to the account.
func (h *HandOver) signed(login model.Digest) string {
	return strings.Join([]string{hex.EncodeToString(login[:]), h.Nonce, h.Host}, " ")
}

// TakeHandOver makes a token for the host of a hand-over. It ends with the log-in, and is
// as old as that. Errors: ErrLink.
func (r *Request) TakeHandOver(ctx context.Context, link string, h HandOver) (token string, err error) {
	a, c := r.accounts, r.event.Client
	text, signature, _ := strings.Cut(link, ".")
	var login model.Digest
	if n, err := hex.Decode(login[:], []byte(text[:min(len(text), 2*len(login))])); err != nil || n != len(login) || len(text) != 2*n {
		return "", ErrLink
	}
	parent, acc, err := a.Store.Token(ctx, login)
	if errors.Is(err, model.ErrNotFound) {
		return "", ErrLink
	}
	if err != nil {
		return "", err
	}
	links := a.handOverLinks()
	if h.Nonce == "" || !parent.IsLogin() || !acc.IsActive || !links.check(purposeHandOver, acc, h.signed(login), signature) {
		return "", ErrLink
	}
	r.event.Account = acc
	token = model.NewToken()
	digest, _ := model.DigestOf(token)
	err = a.Commit(ctx, &model.Change{
		Token: &model.Token{
			Digest: digest, Account: acc.ID, Created: parent.Created, Expires: parent.Expires,
			Address: c.Address, Agent: CutAgent(c.Agent), Parent: login, Host: h.Host,
			MFA: parent.MFA, Passkey: parent.Passkey, Proved: parent.Proved, ProvedFactor: parent.ProvedFactor, Method: parent.Method,
		},
		Serial: acc.Serial, NoLogin: true,
	})
	if errors.Is(err, model.ErrConflict) || errors.Is(err, model.ErrNotFound) {
		return "", ErrLink // logged out, or something else that ends links
	}
	return token, err
}
