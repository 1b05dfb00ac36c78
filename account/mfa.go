package account

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/mfa"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/throttle"
)

// Errors about second factors.
var (
	ErrCode      = errors.New("wrong code")
	ErrFactorSet = errors.New("the account has a second factor")
	ErrNoFactor  = errors.New("the account has no second factor")
)

// NeedsFactor reports whether a log-in to an account needs a second factor.
func (r *Rules) NeedsFactor(acc *model.Account) bool {
	return acc.Factor.IsActive() || r.MFA && len(acc.Passkeys) > 0
}

// FactorAnswer is what proves a second factor.
type FactorAnswer struct {
	Code    string // of the app, or a recovery code
	Passkey []byte // the answer of a passkey in JSON; nil: none
}

// IsEmpty reports whether there is none.
func (f FactorAnswer) IsEmpty() bool { return f.Code == "" && f.Passkey == nil }

// FactorError means that the password was right, and that the log-in needs a second factor.
// Ephemeral is for VerifyFactor.
type FactorError struct{ Ephemeral string }

func (e *FactorError) Error() string { return "a second factor is needed" }

const (
	ephemeralTTL = 5 * time.Minute  // to find the app
	pendingTTL   = 10 * time.Minute // to set it up
)

// purposeFactor is the purpose of ephemeral tokens. They are in no mail.
const purposeFactor model.Purpose = "second_factor"

func (a *Service) ephemeralLinks() Links {
	return Links{Key: a.Links.Key, TTL: ephemeralTTL, Now: a.Links.Now}
}

// ephemeral returns a token that stands for the right password of an account, for one kind of
// log-in. It ends with the next code that is used, so that it is good once.
func (a *Service) ephemeral(acc *model.Account, kind string) string {
	links := a.ephemeralLinks()
	return EncodeUID(acc.ID) + "." + kind + "." + links.sign(purposeFactor, acc, signedWith(acc, kind))
}

func signedWith(acc *model.Account, kind string) string {
	if f := acc.Factor; f != nil {
		kind = fmt.Sprint(kind, f.Step, len(f.Recovery))
	}
	if !acc.Challenged.IsZero() {
		kind = fmt.Sprint(kind, " ", acc.Challenged.UnixMicro())
	}
	return kind
}

// isEphemeral reports whether a signature is that of an ephemeral token. It checks that first,
// so that a bad one costs the same for every account.
func (a *Service) isEphemeral(acc *model.Account, kind, signature string) bool {
	links := a.ephemeralLinks()
	good := links.check(purposeFactor, acc, signedWith(acc, kind), signature)
	return good && acc.IsActive && a.Rules.NeedsFactor(acc)
}

// ephemeralOwner returns the account of an ephemeral token, and what else it says. Errors:
// ErrLink.
func (a *Service) ephemeralOwner(ctx context.Context, ephemeral string) (acc *model.Account, kind, signature string, err error) {
	uid, rest, _ := strings.Cut(ephemeral, ".")
	kind, signature, _ = strings.Cut(rest, ".")
	id, ok := decodeUID(uid)
	if !ok {
		return nil, "", "", ErrLink
	}
	acc, err = a.Store.Account(ctx, id)
	if errors.Is(err, model.ErrNotFound) || err == nil && !a.isEphemeral(acc, kind, signature) {
		return nil, "", "", ErrLink
	}
	return acc, kind, signature, err
}

// Kinds of log-ins. The method follows, unless it is the password.
const (
	kindToken   = "token"
	kindSession = "session"
)

// kindOf returns the kind of a log-in.
func kindOf(t *model.Token) string {
	kind := kindToken
	if t.Generation > 0 {
		kind = kindSession
	}
	if t.Method != model.MethodPassword {
		kind += "_" + string(t.Method)
	}
	return kind
}

// VerifyFactor finishes a log-in that needs a second factor. It returns an auth token or a
// session, as the log-in would have; the session has the id; with an empty one, there are
// none here. Wrong codes count as wrong passwords do.
// Errors: ErrLink for the ephemeral token, those of withFactor.
func (r *Request) VerifyFactor(ctx context.Context, ephemeral string, f FactorAnswer, id string) (acc *model.Account, token string, session *Session, err error) {
	a, c := r.accounts, r.event.Client
	r.event.Account = nil // not that of the request's token
	acc, kind, signature, err := a.ephemeralOwner(ctx, ephemeral)
	ofWhat, method, _ := strings.Cut(kind, "_")
	if err == nil && ofWhat == kindSession && id == "" {
		err = ErrLink
	}
	if err != nil {
		return nil, "", nil, err
	}
	r.event.Account = acc
	token, t := newLogin(model.Method(method))
	if ofWhat == kindSession {
		session = newSession(id, model.Method(method))
		token, t = "", session.Token
	}
	t.MFA, t.Passkey = true, f.Passkey != nil
	acc, err = a.withFactor(ctx, acc, c, f, func(acc *model.Account, change *model.Change) error {
		if !a.isEphemeral(acc, kind, signature) {
			return ErrLink
		}
		if err := a.useFactor(acc, aboutFactor(ephemeral), f); err != nil { // which ends the ephemeral token
			return err
		}
		return a.addLogin(change, acc, c, t)
	})
	if err != nil {
		return acc, "", nil, err
	}
	a.know(acc, c)
	return acc, token, session, nil
}

// withFactor changes an account by a second factor, with which change calls useFactor. It
// counts wrong codes. Nobody guesses the answer of a passkey. Errors: ErrCode, ErrPasskey,
// ErrNoFactor, *TooSoonError.
func (a *Service) withFactor(ctx context.Context, acc *model.Account, c Client, f FactorAnswer, change func(*model.Account, *model.Change) error) (*model.Account, error) {
	if f.Passkey != nil {
		return a.Update(ctx, acc.ID, change)
	}
	try, err := a.tryCode(ctx, acc, c)
	if err != nil {
		return nil, err
	}
	changed, err := a.Update(ctx, acc.ID, func(acc *model.Account, ch *model.Change) error {
		if !a.Rules.NeedsFactor(acc) {
			return ErrNoFactor
		}
		return change(acc, ch)
	})
	switch {
	case err == nil:
		try.right()
		return changed, nil
	case !errors.Is(err, ErrCode):
		try.untried()
	}
	return acc, err
}

// useFactor uses up what proves a second factor. about is what a passkey's challenge is for.
func (a *Service) useFactor(acc *model.Account, about string, f FactorAnswer) error {
	if f.Passkey != nil {
		return a.usePasskey(acc, about, f.Passkey)
	}
	return a.useCode(acc, f.Code)
}

// useCode uses up a code of an account's app, or a recovery code.
func (a *Service) useCode(acc *model.Account, code string) error {
	f, now := acc.Factor, a.Now()
	if f == nil {
		return ErrCode
	}
	if step, ok := mfa.Check(f.Secret, code, now); ok && step > f.Step {
		f.Step, f.Used = step, now
		return nil
	}
	digests := make([][32]byte, len(f.Recovery))
	for i, d := range f.Recovery {
		digests[i] = d
	}
	digest, ok := mfa.RecoveryDigest(a.Links.Key, acc.ID, code)
	if i := mfa.Find(digests, digest); ok && i >= 0 {
		f.Recovery, f.Used = slices.Delete(f.Recovery, i, i+1), now
		return nil
	}
	return ErrCode
}

// codeRates limit wrong codes for one account, from one network and from all strangers
// together. Who guesses knows the password already, and has three good codes of a million.
var codeRates = []throttle.Rate{{Times: 5, Per: time.Minute}, {Times: 20, Per: time.Hour}, {Times: 50, Per: 24 * time.Hour}}

// tryCode begins an attempt at a code. The owner's networks aren't limited by the attempts of
// others.
func (a *Service) tryCode(ctx context.Context, acc *model.Account, c Client) (*attempt, error) {
	if len(a.Rates.Endpoint("login")) == 0 {
		return a.try(ctx, nil, nil)
	}
	id := strconv.FormatUint(acc.ID, 10)
	own := []throttle.Limit{{Key: throttle.Key{"code", throttle.Network(c.Address), id}, Rates: codeRates}}
	name := a.loginName(a.Model.Username, a.Model.Name(acc))
	c.known = a.Throttles.known.Has(knownKey(name.counted, c))
	return a.tryAs(ctx, name, c, own, []throttle.Limit{{Key: throttle.Key{"code", id}, Rates: codeRates}})
}

// BeginFactor returns the secret for an app, which ConfirmFactor confirms within ten minutes
// by the same log-in. Errors: ErrFactorSet.
func (a *Service) BeginFactor(ctx context.Context, id uint64, login model.Digest) (secret []byte, err error) {
	_, err = a.Update(ctx, id, func(acc *model.Account, _ *model.Change) error {
		if acc.Factor.IsActive() {
			return ErrFactorSet
		}
		if !a.isPending(acc.Factor, login) {
			acc.Factor = &model.Factor{Recovery: recoveryOf(acc), Pending: mfa.NewSecret(), PendingUntil: a.Now().Add(pendingTTL), PendingFor: login}
		}
		secret = acc.Factor.Pending
		return nil
	})
	return secret, err
}

// isPending reports whether a log-in may confirm the factor.
func (a *Service) isPending(f *model.Factor, login model.Digest) bool {
	return f != nil && hmac.Equal(f.PendingFor[:], login[:]) && a.Now().Before(f.PendingUntil)
}

// ConfirmFactor sets up the second factor with a code of the app, and returns recovery codes.
// The log-in has proved the factor then. Errors: ErrCode, ErrFactorSet, *TooSoonError.
func (r *Request) ConfirmFactor(ctx context.Context, id uint64, login model.Digest, code string) (codes []string, err error) {
	a, c := r.accounts, r.event.Client
	try, err := a.tryCurrent(ctx, r.event.Action, id)
	if err != nil {
		return nil, err
	}
	acc, err := a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		f, now := acc.Factor, a.Now()
		if f.IsActive() {
			return ErrFactorSet
		}
		if !a.isPending(f, login) {
			return ErrCode
		}
		step, ok := mfa.Check(f.Pending, code, now)
		if !ok {
			return ErrCode
		}
		acc.Factor = &model.Factor{Secret: f.Pending, Step: step, Created: now, Used: now}
		codes = a.newCodes(acc)
		change.Prove = &model.Proof{Digest: login, At: now, MFA: true}
		a.notify(change, model.PurposeFactorOn, acc, c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	try.right()
	r.event.Account = acc
	return codes, nil
}

// recoveryOf returns the recovery codes of an account, which it may have without an app.
func recoveryOf(acc *model.Account) []model.Digest {
	if acc.Factor == nil {
		return nil
	}
	return acc.Factor.Recovery
}

// newCodes replaces the recovery codes of an account.
func (a *Service) newCodes(acc *model.Account) []string {
	codes := mfa.NewRecoveryCodes()
	if acc.Factor == nil {
		acc.Factor = new(model.Factor)
	}
	acc.Factor.Recovery = nil
	for _, code := range codes {
		digest, _ := mfa.RecoveryDigest(a.Links.Key, acc.ID, code)
		acc.Factor.Recovery = append(acc.Factor.Recovery, digest)
	}
	return codes
}

// RemoveFactor removes the app, by a second factor. With passkeys, the recovery codes stay.
// Errors: those of withFactor.
func (r *Request) RemoveFactor(ctx context.Context, acc *model.Account, f FactorAnswer) error {
	a, c := r.accounts, r.event.Client
	_, err := a.withFactor(ctx, acc, c, f, func(acc *model.Account, change *model.Change) error {
		if !acc.Factor.IsActive() {
			return ErrNoFactor
		}
		if err := a.useFactor(acc, aboutLogin, f); err != nil {
			return err
		}
		acc.Factor = &model.Factor{Recovery: acc.Factor.Recovery}
		acc.TidyFactor()
		a.notify(change, model.PurposeFactorOff, acc, c)
		return nil
	})
	return err
}

// NewRecoveryCodes replaces the recovery codes, by a second factor. Errors: those of withFactor.
func (r *Request) NewRecoveryCodes(ctx context.Context, acc *model.Account, f FactorAnswer) (codes []string, err error) {
	a, c := r.accounts, r.event.Client
	_, err = a.withFactor(ctx, acc, c, f, func(acc *model.Account, _ *model.Change) error {
		if !a.Rules.NeedsFactor(acc) {
			return ErrNoFactor
		}
		if err := a.useFactor(acc, aboutLogin, f); err != nil {
			return err
		}
		codes = a.newCodes(acc)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// ResetFactor removes the second factor and the passkeys of an account for an administrator,
// ends every log-in, and tells the owner. Errors: ErrNoFactor.
func (a *Service) ResetFactor(ctx context.Context, id uint64) (*model.Account, error) {
	return a.Update(ctx, id, func(acc *model.Account, change *model.Change) error {
		if !acc.Factor.IsActive() && len(acc.Passkeys) == 0 {
			return ErrNoFactor
		}
		acc.Factor, acc.Passkeys = nil, nil
		acc.Serial++
		change.EndTokens = true
		a.notify(change, model.PurposeFactorOff, acc, Client{})
		return nil
	})
}
