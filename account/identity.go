package account

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/internal/username"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
)

// Person is an identity, and what the provider says of it.
type Person struct {
	model.Identity
	Email         string
	EmailVerified bool
	Username      string       // a wish
	Values        model.Values // of other fields
}

// MaxIdentities is the maximum number of identities of an account.
const MaxIdentities = 10

// Errors about identities. Each is an ErrRefused.
var (
	// ErrAddressClaimed means that an account has the person's address, and it isn't sure
	// that it is theirs.
	ErrAddressClaimed = fmt.Errorf("%w: another account has the address", ErrRefused)

	// ErrWaiting means that an account waits for its activation or approval.
	ErrWaiting = fmt.Errorf("%w: it waits", ErrDisabled)

	// ErrLastWay means that nobody could log in to the account any more.
	ErrLastWay = fmt.Errorf("%w: it is the last way to log in", ErrRefused)

	// ErrManyIdentities means that an account has MaxIdentities.
	ErrManyIdentities = fmt.Errorf("%w: too many identities", ErrRefused)
)

// ProviderKey returns the key that signs the states of log-ins with providers.
func (a *Service) ProviderKey() ([]byte, error) {
	return hkdf.Key(sha256.New, a.Links.Key, nil, "log-in with a provider", 32)
}

// LoginBy logs somebody in whom a provider has named: to the account that has the
// identity; or to the only one that has confirmed the address, if the provider has, too,
// which then gets the identity; or else to a new one, as far as registration lets in. The
// token is empty if that waits. code is that of an invitation, or empty. Errors:
// ErrAddressClaimed, ErrDisabled, ErrWaiting, those of Register.
func (r *Request) LoginBy(ctx context.Context, p Person, code string) (acc *model.Account, token string, err error) {
	token, t := newLogin(model.MethodProvider)
	if acc, err = r.loginBy(ctx, p, code, t); err != nil || !acc.IsActive {
		token = ""
	}
	return acc, token, err
}

// LoginSessionBy is LoginBy for a session with a new id; nil if the account waits.
func (r *Request) LoginSessionBy(ctx context.Context, p Person, code, id string) (*model.Account, *Session, error) {
	s := newSession(id, model.MethodProvider)
	acc, err := r.loginBy(ctx, p, code, s.Token)
	if err != nil || !acc.IsActive {
		s = nil
	}
	return acc, s, err
}

// loginBy tries again if another request was faster.
func (r *Request) loginBy(ctx context.Context, p Person, code string, t *model.Token) (*model.Account, error) {
	for range attempts {
		r.event.Account = nil
		acc, err := r.enterBy(ctx, p, code, t)
		taken := new(model.TakenError)
		if errors.As(err, &taken) && taken.Field == p.Key().Field || errors.Is(err, model.ErrConflict) || errors.Is(err, model.ErrNotFound) {
			continue
		}
		r.event.Account = acc
		if err == nil && acc.IsActive {
			r.accounts.know(acc, r.event.Client)
		}
		return acc, err
	}
	return nil, model.ErrConflict
}

func (r *Request) enterBy(ctx context.Context, p Person, code string, t *model.Token) (*model.Account, error) {
	a := r.accounts
	if err := a.makeWay(ctx, []model.Key{p.Key()}); err != nil {
		return nil, err
	}
	acc, err := a.Store.AccountByKey(ctx, p.Key())
	if errors.Is(err, model.ErrNotFound) {
		acc, err = a.confirmedOwner(ctx, p)
	}
	switch {
	case err != nil:
		return nil, err
	case acc == nil:
		return r.registerBy(ctx, p, code, t)
	case !acc.IsActive && (acc.Waiting || acc.Provisional):
		return acc, ErrWaiting
	case !acc.IsActive:
		return acc, ErrDisabled
	case !acc.HasIdentity(p.Identity):
		return r.linkAndLogIn(ctx, acc, p, t)
	}
	change := &model.Change{Serial: acc.Serial}
	if err := a.addLogin(change, acc, r.event.Client, t); err != nil {
		return acc, err
	}
	return acc, a.Commit(ctx, change)
}

// confirmedOwner returns the only account that has confirmed the person's address, or nil
// if no account has the address. Provisional accounts only claim it. An account that was
// made by somebody else for the address must not get the person's identity, nor the
// person's data. Errors: ErrAddressClaimed.
func (a *Service) confirmedOwner(ctx context.Context, p Person) (*model.Account, error) {
	if !p.EmailVerified || p.Email == "" {
		return nil, nil
	}
	found, err := a.Store.AccountsByEmail(ctx, p.Email, maxFound)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(acc *model.Account) bool { return acc.Provisional })
	if len(found) == 0 {
		return nil, nil
	}
	// Some hosts distinguish Ann@ and ann@.
	same := fieldtype.NormalizeEmail(found[0].Email) == fieldtype.NormalizeEmail(p.Email)
	if len(found) > 1 || !same || !found[0].EmailConfirmed || slices.Contains(found[0].Unlinked, p.Key()) {
		return nil, ErrAddressClaimed
	}
	return found[0], nil
}

// linkAndLogIn links a person to the account that has confirmed the address. One that needs a
// second factor isn't linked.
func (r *Request) linkAndLogIn(ctx context.Context, owner *model.Account, p Person, t *model.Token) (*model.Account, error) {
	acc, err := r.accounts.Update(ctx, owner.ID, func(acc *model.Account, change *model.Change) error {
		if acc.Serial != owner.Serial || !acc.EmailConfirmed {
			return model.ErrConflict
		}
		if err := r.accounts.addLogin(change, acc, r.event.Client, t); err != nil {
			return err
		}
		return r.accounts.link(acc, p.Identity, change, r.event.Client)
	})
	if err != nil {
		return owner, err
	}
	r.also("identity_linked", acc)
	return acc, nil
}

// also reports another event of the request, which has succeeded.
func (r *Request) also(name string, acc *model.Account) {
	e := r.event
	e.Name, e.Account, e.Outcome = name, acc, OutcomeOK
	r.accounts.Reporter.Report(e)
}

// registerBy makes an account without a password.
func (r *Request) registerBy(ctx context.Context, p Person, code string, t *model.Token) (*model.Account, error) {
	if r.noRegistration {
		return nil, ErrRegistrationClosed
	}
	a, f := r.accounts, r.accounts.Model.Field("email")
	v := maps.Clone(p.Values)
	if v == nil {
		v = make(model.Values)
	}
	if email, messages := f.Parse(p.Email); len(messages) == 0 && p.Email != "" {
		v["email"] = email
	}
	needed := a.Rules.SendActivationEmail || f == a.Model.Username
	if needed && v.Text("email") == "" {
		return nil, &model.FieldError{Field: "email", Messages: []string{fieldtype.MsgRequired}}
	}
	invitation, err := a.maySignUp(ctx, v, code)
	if err != nil {
		return nil, err
	}
	names := username.Candidates(p.Username, v.Text("email"))
	if a.Model.Username.IsAddress() {
		names = []string{v.Text("email")}
	}
	for _, name := range names {
		if name, err = a.Model.CheckUsername(name); err != nil {
			continue
		}
		v[a.Model.Username.Name] = name
		acc := &model.Account{
			Password: password.Unusable(), DateJoined: a.Now(),
			EmailConfirmed: p.EmailVerified && v.Text("email") != "", Identities: []model.Identity{a.now(p.Identity)},
		}
		err = a.register(ctx, acc, v, invitation, r.event.Client, t)
		switch taken := new(model.TakenError); {
		case errors.As(err, &taken) && taken.Field == a.Model.Username.Name:
			continue
		case err != nil:
			return nil, err
		case acc.IsActive:
			r.also("user_registered", acc)
		default:
			r.event.Name = "user_registered"
		}
		return acc, nil
	}
	return nil, err
}

// now returns an identity that is linked now.
func (a *Service) now(i model.Identity) model.Identity {
	i.Linked = a.Now().Truncate(time.Microsecond)
	return i
}

// Link links an identity to an account that has logged in, whose password hasn't changed
// since. Errors: *TakenError, ErrManyIdentities, ErrPassword.
func (r *Request) Link(ctx context.Context, checked *model.Account, i model.Identity) (*model.Account, error) {
	r.event.Name = "identity_linked"
	return r.accounts.Update(ctx, checked.ID, func(acc *model.Account, change *model.Change) error {
		if !stillChecked(acc, checked) {
			return ErrPassword
		}
		return r.accounts.link(acc, i, change, r.event.Client)
	})
}

// link adds an identity to an account, and tells the owner.
func (a *Service) link(acc *model.Account, i model.Identity, change *model.Change, c Client) error {
	if acc.HasIdentity(i) {
		return nil
	}
	if len(acc.Identities) >= MaxIdentities {
		return ErrManyIdentities
	}
	acc.Identities = append(acc.Identities, a.now(i))
	acc.Unlinked = slices.DeleteFunc(acc.Unlinked, i.Key().Same)
	a.notifyAbout(change, model.PurposeIdentityLinked, acc, i.Provider, c)
	return nil
}

// Unlink takes an identity from an account; see Link. It doesn't come back by its address.
// Errors: ErrNotFound, ErrLastWay, ErrPassword.
func (r *Request) Unlink(ctx context.Context, checked *model.Account, id string) error {
	a := r.accounts
	_, err := a.Update(ctx, checked.ID, func(acc *model.Account, change *model.Change) error {
		at := slices.IndexFunc(acc.Identities, func(i model.Identity) bool { return i.ID() == id })
		switch {
		case !stillChecked(acc, checked):
			return ErrPassword
		case at < 0:
			return model.ErrNotFound
		case len(acc.Identities) == 1 && !acc.HasPassword() && (a.RelyingParty == nil || len(acc.Passkeys) == 0):
			return ErrLastWay
		}
		a.notifyAbout(change, model.PurposeIdentityRemoved, acc, acc.Identities[at].Provider, r.event.Client)
		acc.Unlinked = append(acc.Unlinked, acc.Identities[at].Key())
		acc.Unlinked = acc.Unlinked[max(0, len(acc.Unlinked)-MaxIdentities):]
		acc.Identities = slices.Delete(acc.Identities, at, at+1)
		acc.Serial++ // ends log-ins by it that are in progress
		return nil
	})
	return err
}
