package account

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/model"
)

// MaxPasskeys is the maximum number of passkeys of an account.
const MaxPasskeys = 20

// RelyingParty is whom passkeys are for. Source of the names: WebAuthn.
type RelyingParty struct {
	ID      string   // a host, such as example.com
	Name    string   // of the site
	Origins []string // where passkeys may be used, such as https://example.com
	WebAuthn
}

// WebAuthn checks what authenticators answer. Package passkeys does.
type WebAuthn interface {
	// Registered returns the passkey in the answer to a challenge, after all checks of the
	// relying party.
	Registered(rp *RelyingParty, challenge, answer []byte) (*model.Passkey, error)

	// Signed checks the answer of a passkey to a challenge, and returns its new counter,
	// which the caller checks.
	Signed(rp *RelyingParty, p *model.Passkey, challenge, answer []byte) (counter uint32, err error)
}

// Errors about passkeys. Each is an ErrRefused.
var (
	// ErrPasskey means that the answer of a passkey isn't good here, or not any more.
	ErrPasskey = fmt.Errorf("%w: the answer of a passkey isn't valid", ErrRefused)

	// ErrCloned means that the counter of a passkey hasn't risen, so that another
	// authenticator has it, too.
	ErrCloned = fmt.Errorf("%w: its counter hasn't risen", ErrPasskey)

	// ErrManyPasskeys means that an account has MaxPasskeys.
	ErrManyPasskeys = fmt.Errorf("%w: too many passkeys", ErrRefused)
)

// A challenge is 16 random bytes, when it was made in Unix microseconds, and an HMAC of what
// it is for. So the store needn't keep it. It is good once: an account keeps when the last one
// that it used was made, and takes only later ones.
const (
	challengeTTL   = 5 * time.Minute
	challengeBytes = 16 + 8 + sha256.Size
)

// What challenges are for. A log-in begins before it is known whose.
const aboutLogin = "login"

func aboutFactor(ephemeral string) string { return "factor " + ephemeral }

// aboutPasskey is for a new passkey, by one log-in of an account.
func aboutPasskey(acc *model.Account, login model.Digest) string {
	return fmt.Sprintf("new %d %d %x", acc.ID, acc.Serial, login)
}

func (a *Service) challenge(about string) []byte {
	b := make([]byte, 16, challengeBytes)
	rand.Read(b) // never fails; see crypto/rand
	b = binary.BigEndian.AppendUint64(b, uint64(a.Now().UnixMicro()))
	return append(b, a.passkeyMAC("challenge "+about, b)...)
}

// checkChallenge returns when a challenge was made that is good now.
func (a *Service) checkChallenge(about string, challenge []byte) (made time.Time, ok bool) {
	if len(challenge) != challengeBytes {
		return made, false
	}
	said, mac := challenge[:challengeBytes-sha256.Size], challenge[challengeBytes-sha256.Size:]
	made = time.UnixMicro(int64(binary.BigEndian.Uint64(said[16:])))
	age := a.Now().Sub(made)
	return made, hmac.Equal(mac, a.passkeyMAC("challenge "+about, said)) && age < challengeTTL && age > -model.MaxSetBack
}

func (a *Service) passkeyMAC(about string, data []byte) []byte {
	mac := hmac.New(sha256.New, a.Links.Key)
	mac.Write([]byte("djoser passkey\x00" + about + "\x00"))
	mac.Write(data)
	return mac.Sum(nil)
}

// PasskeyHandle returns by what authenticators know an account. It tells them nothing else,
// and is another one in each realm of a host.
func (a *Service) PasskeyHandle(acc *model.Account) []byte {
	return a.passkeyMAC("user", binary.BigEndian.AppendUint64(nil, acc.ID))
}

// LoginChallenge returns a challenge for LoginByPasskey, and for FactorAnswer with a log-in.
func (a *Service) LoginChallenge() []byte { return a.challenge(aboutLogin) }

// FactorChallenge returns a challenge for VerifyFactor, and the account, whose passkeys can
// answer it. Errors: ErrLink.
func (a *Service) FactorChallenge(ctx context.Context, ephemeral string) (acc *model.Account, challenge []byte, err error) {
	acc, _, _, err = a.ephemeralOwner(ctx, ephemeral)
	return acc, a.challenge(aboutFactor(ephemeral)), err
}

// NewPasskeyChallenge returns a challenge for AddPasskey, by the same log-in, and the account.
// Errors: ErrManyPasskeys.
func (a *Service) NewPasskeyChallenge(ctx context.Context, login *model.Token) (acc *model.Account, challenge []byte, err error) {
	acc, err = a.Store.Account(ctx, login.Account)
	switch {
	case err != nil:
		return nil, nil, err
	case len(acc.Passkeys) >= MaxPasskeys:
		return nil, nil, ErrManyPasskeys
	}
	return acc, a.challenge(aboutPasskey(acc, login.Login())), nil
}

// passkeyAnswer is what an answer says of itself, for now unchecked: to find the account.
type passkeyAnswer struct {
	challenge, credential, handle []byte
}

// readPasskeyAnswer reads an answer in JSON. Source: WebAuthn, RegistrationResponseJSON and
// AuthenticationResponseJSON.
func readPasskeyAnswer(answer []byte) (p passkeyAnswer, ok bool) {
	var outer struct {
		ID       string `json:"id"`
		Response struct {
			Client string `json:"clientDataJSON"`
			Handle string `json:"userHandle"`
		} `json:"response"`
	}
	var client struct {
		Challenge string `json:"challenge"`
	}
	if json.Unmarshal(answer, &outer) != nil {
		return p, false
	}
	text, bad := base64URL(outer.Response.Client)
	if bad != nil || json.Unmarshal(text, &client) != nil {
		return p, false
	}
	var errs [3]error
	p.credential, errs[0] = base64URL(outer.ID)
	p.handle, errs[1] = base64URL(outer.Response.Handle)
	p.challenge, errs[2] = base64URL(client.Challenge)
	return p, errors.Join(errs[:]...) == nil && len(p.credential) > 0
}

func base64URL(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}

// passkeyOf returns the account's passkey with the id of a credential, or nil.
func passkeyOf(acc *model.Account, credential []byte) *model.Passkey {
	i := slices.IndexFunc(acc.Passkeys, func(p model.Passkey) bool { return bytes.Equal(p.Credential, credential) })
	if i < 0 {
		return nil
	}
	return &acc.Passkeys[i]
}

// takeChallenge uses up a challenge, and every earlier one of the account.
func (a *Service) takeChallenge(acc *model.Account, about string, challenge []byte) bool {
	made, ok := a.checkChallenge(about, challenge)
	if !ok || !made.After(acc.Challenged) {
		return false
	}
	acc.Challenged = made
	return true
}

// usePasskey uses up the answer of one of an account's passkeys. Errors: ErrPasskey, ErrCloned.
func (a *Service) usePasskey(acc *model.Account, about string, answer []byte) error {
	said, ok := readPasskeyAnswer(answer)
	if !ok || a.RelyingParty == nil || !a.takeChallenge(acc, about, said.challenge) {
		return ErrPasskey
	}
	p := passkeyOf(acc, said.credential)
	// Asked for one of an account's, not all authenticators say whose it is.
	namesOwner := len(said.handle) > 0 || about == aboutLogin
	if p == nil || namesOwner && !hmac.Equal(said.handle, a.PasskeyHandle(acc)) {
		return ErrPasskey
	}
	counter, err := a.RelyingParty.Signed(a.RelyingParty, p, said.challenge, answer)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrPasskey, err)
	case counter <= p.Counter && (counter != 0 || p.Counter != 0):
		return ErrCloned
	}
	p.Counter, p.Used = counter, a.Now().Truncate(time.Microsecond)
	return nil
}

// LoginByPasskey logs in by the answer of a passkey alone, which is two factors: the
// authenticator, and what it has checked of its user. It returns an auth token, or a session
// with the id unless that is empty. Errors: ErrPasskey, ErrCloned, ErrDisabled.
func (r *Request) LoginByPasskey(ctx context.Context, answer []byte, id string) (acc *model.Account, token string, session *Session, err error) {
	a, c := r.accounts, r.event.Client
	r.event.Account = nil // not that of the request's token
	said, ok := readPasskeyAnswer(answer)
	if _, fresh := a.checkChallenge(aboutLogin, said.challenge); !ok || !fresh {
		return nil, "", nil, ErrPasskey
	}
	owned := model.Passkey{Credential: said.credential}
	owner, err := a.Store.AccountByKey(ctx, owned.Key())
	if errors.Is(err, model.ErrNotFound) {
		return nil, "", nil, ErrPasskey
	}
	if err != nil {
		return nil, "", nil, err
	}
	r.event.Account = owner
	token, t := newLogin(model.MethodPasskey)
	if id != "" {
		session = newSession(id, model.MethodPasskey)
		token, t = "", session.Token
	}
	t.MFA, t.Passkey = true, true
	acc, err = a.Update(ctx, owner.ID, func(acc *model.Account, change *model.Change) error {
		if err := a.usePasskey(acc, aboutLogin, answer); err != nil {
			return err
		}
		if !acc.IsActive {
			return ErrDisabled
		}
		return a.addLogin(change, acc, c, t)
	})
	if errors.Is(err, model.ErrNotFound) {
		err = ErrPasskey
	}
	if err != nil {
		return owner, "", nil, err
	}
	a.know(acc, c)
	return acc, token, session, nil
}

// AddPasskey adds a passkey to an account, by the log-in that NewPasskeyChallenge was for. With
// mfa, it is a second factor: the log-in has proved it then, and the first one comes with
// recovery codes. Errors: ErrPasskey, ErrManyPasskeys, *TakenError.
func (r *Request) AddPasskey(ctx context.Context, id uint64, login model.Digest, name string, answer []byte) (added *model.Passkey, codes []string, err error) {
	a, c := r.accounts, r.event.Client
	acc, err := a.Update(ctx, id, func(acc *model.Account, change *model.Change) (err error) {
		said, ok := readPasskeyAnswer(answer)
		if !ok || a.RelyingParty == nil || !a.takeChallenge(acc, aboutPasskey(acc, login), said.challenge) {
			return ErrPasskey
		}
		if len(acc.Passkeys) >= MaxPasskeys {
			return ErrManyPasskeys
		}
		if added, err = a.RelyingParty.Registered(a.RelyingParty, said.challenge, answer); err != nil {
			return fmt.Errorf("%w: %w", ErrPasskey, err)
		}
		if passkeyOf(acc, added.Credential) != nil {
			return &model.TakenError{Field: model.PasskeyField}
		}
		codes = nil
		if a.Rules.MFA && !a.Rules.NeedsFactor(acc) {
			codes = a.newCodes(acc)
		}
		now := a.Now().Truncate(time.Microsecond)
		added.Name, added.Created = name, now
		acc.Passkeys = append(acc.Passkeys, *added)
		change.Prove = &model.Proof{Digest: login, At: now, MFA: true}
		a.notifyAbout(change, model.PurposePasskeyAdded, acc, name, c)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	r.event.Account = acc
	return added, codes, nil
}

// RenamePasskey gives a passkey of an account another name. Errors: ErrNotFound.
func (r *Request) RenamePasskey(ctx context.Context, id uint64, passkey, name string) (renamed *model.Passkey, err error) {
	_, err = r.accounts.Update(ctx, id, func(acc *model.Account, _ *model.Change) error {
		i := passkeyIndex(acc, passkey)
		if i < 0 {
			return model.ErrNotFound
		}
		acc.Passkeys[i].Name = name
		renamed = &acc.Passkeys[i]
		return nil
	})
	return renamed, err
}

// RemovePasskey removes a passkey of an account. Errors: ErrNotFound, ErrLastWay.
func (r *Request) RemovePasskey(ctx context.Context, id uint64, passkey string) error {
	a, c := r.accounts, r.event.Client
	_, err := a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		i := passkeyIndex(acc, passkey)
		switch {
		case i < 0:
			return model.ErrNotFound
		case len(acc.Passkeys) == 1 && len(acc.Identities) == 0 && !acc.HasPassword():
			return ErrLastWay
		}
		a.notifyAbout(change, model.PurposePasskeyRemoved, acc, acc.Passkeys[i].Name, c)
		acc.Passkeys = slices.Delete(acc.Passkeys, i, i+1)
		acc.TidyFactor()
		return nil
	})
	return err
}

// passkeyIndex returns the index of the passkey with an id for its owner, or -1.
func passkeyIndex(acc *model.Account, id string) int {
	return slices.IndexFunc(acc.Passkeys, func(p model.Passkey) bool { return p.ID() == id })
}
