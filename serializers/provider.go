package serializers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/social"
)

// Log-ins with providers, and the identities of an account.

func (s *Serializers) providerInputs() []drf.Input {
	inputs := []drf.Input{
		{Name: "code", Required: true, AsSent: true}, {Name: "state", Required: true, AsSent: true}, {Name: "iss"}, {Name: "current_password"},
	}
	if s.Registration.TakesInvitations() {
		inputs = append(inputs, drf.Input{Name: "invitation"})
	}
	return inputs
}

func (s *Serializers) unlinkInputs() []drf.Input { return s.withPassword(false) }

// Provider returns the provider with a name, or nil.
func (s *Serializers) Provider(name string) *social.Provider {
	i := slices.IndexFunc(s.Providers, func(p *social.Provider) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return s.Providers[i]
}

// BeginLogin returns where to send a browser that logs in with a provider.
func (s *Serializers) BeginLogin(ctx context.Context, accounts *account.Service, p *social.Provider, start social.Start) (string, error) {
	key, err := accounts.ProviderKey()
	if err != nil {
		return "", err
	}
	return p.Begin(ctx, key, start)
}

// ByProvider is what came of a log-in with a provider.
type ByProvider struct {
	Account *model.Account
	Token   string          // empty: none was made, since the account waits or was logged in already
	Pair    *Pair           // instead of Token
	Linked  *model.Identity // that was linked to the account of the request's token
	Next    string          // where to go, for pages
}

// ProviderAnswer is what somebody comes back with from a provider.
type ProviderAnswer struct {
	social.Answer
	Provider *social.Provider
	Token    *model.Token // of the request; nil: none
	JWT      *jwt.Issuer  // of JSON Web Tokens; nil: the log-in is an auth token

	MayRegister bool // the sender may make an account: register isn't disabled, and user_create permits it
}

// LoginByProvider logs in whoever comes back from a provider; or links them to the account
// of the request's token, if that began it. Others can't, or they could make somebody link
// a stranger.
func (s *Serializers) LoginByProvider(ctx context.Context, accounts *account.Service, req *account.Request, a ProviderAnswer, o *drf.Object) (by ByProvider, err error) {
	v, errs := s.Version.Bind(o, s.providerInputs())
	if err := errs.Err(); err != nil {
		return by, err
	}
	if !a.MayRegister {
		req.NoRegistration()
	}
	key, err := accounts.ProviderKey()
	if err != nil {
		return by, err
	}
	a.Code, a.State, a.Issuer = v.Text("code"), v.Text("state"), v.Text("iss")
	state, err := a.Provider.Check(key, a.Answer)
	if err != nil {
		return by, refused(err)
	}
	by.Next = state.Next
	var owner *model.Account
	if state.Account != 0 {
		if owner, err = s.checkLinker(ctx, req, state, a.Token, v); err != nil {
			return by, err
		}
	}
	found, err := a.Provider.Finish(ctx, key, state, a.Code)
	if err != nil {
		return by, refused(err)
	}
	person := s.person(a.Provider, found)
	switch {
	case owner == nil && a.JWT == nil:
		by.Account, by.Token, err = req.LoginBy(ctx, person, v.Text("invitation"))
		return by, err
	case owner == nil:
		var session *account.Session
		by.Account, session, err = req.LoginSessionBy(ctx, person, v.Text("invitation"), jwt.NewSession())
		if session != nil {
			by.Pair, err = NewPair(a.JWT, session)
		}
		return by, err
	}
	by.Linked = &person.Identity
	by.Account, err = req.Link(ctx, owner, person.Identity)
	return by, err
}

// refused marks errors that the request caused.
func refused(err error) error {
	if errors.Is(err, social.ErrState) || errors.Is(err, social.ErrDenied) {
		return fmt.Errorf("%w: %w", account.ErrRefused, err)
	}
	return err
}

// checkLinker returns the account to link to, with a proof.
func (s *Serializers) checkLinker(ctx context.Context, req *account.Request, state *social.State, token *model.Token, v model.Values) (*model.Account, error) {
	if token == nil || token.Account != state.Account {
		return nil, refused(fmt.Errorf("%w: it is of another account", social.ErrState))
	}
	return s.checkProof(ctx, req, token, v)
}

// person returns somebody as package account knows them.
func (s *Serializers) person(p *social.Provider, found *social.Person) account.Person {
	person := account.Person{
		Identity: model.Identity{Provider: p.Name, Subject: found.Subject, Name: found.Email},
		Email:    found.Email, EmailVerified: found.EmailVerified, Username: found.Username, Values: make(model.Values),
	}
	if person.Name == "" {
		person.Name = found.Username
	}
	person.Name = person.Name[:min(len(person.Name), maxIdentityName)]
	for name, text := range map[string]string{"first_name": found.FirstName, "last_name": found.LastName} {
		if value, errs := s.Model.Field(name).Parse(text); text != "" && len(errs) == 0 {
			person.Values[name] = value
		}
	}
	return person
}

// maxIdentityName is the maximum length of an identity's name in bytes: that of an address.
const maxIdentityName = 254

// Unlink removes an identity of the account of a log-in. It needs a proof.
func (s *Serializers) Unlink(ctx context.Context, req *account.Request, login *model.Token, id string, o *drf.Object) error {
	v, errs := s.Version.Bind(o, s.unlinkInputs())
	if err := errs.Err(); err != nil {
		return err
	}
	owner, err := s.checkProof(ctx, req, login, v)
	if err != nil {
		return err
	}
	return req.Unlink(ctx, owner, id)
}

// Identity is an identity for its owner.
type Identity struct {
	ID       string    `json:"id"`
	Provider string    `json:"provider"`
	Name     string    `json:"name"`
	Linked   time.Time `json:"linked"`
}

// RepresentIdentity returns an identity for its owner.
func RepresentIdentity(i model.Identity) Identity {
	return Identity{ID: i.ID(), Provider: i.Provider, Name: i.Name, Linked: i.Linked.UTC()}
}

// explainProvider returns an error about a provider or an identity in words, or nil if it is
// neither.
func explainProvider(err error) error {
	switch taken := new(model.TakenError); {
	case errors.Is(err, social.ErrState):
		return drf.Invalid(drf.NonField, "Invalid state has been provided: it is too old, was used, or belongs to something else. Begin again.")
	case errors.Is(err, social.ErrDenied):
		return drf.Invalid(drf.NonField, "The provider refused the log-in. Begin again.")
	case errors.Is(err, social.ErrRedirectURI):
		return drf.Invalid("redirect_uri", "redirect_uri must be in the redirect_uris of the provider.")
	case errors.Is(err, social.ErrAnswer):
		return drf.ProviderFailed(http.StatusBadGateway, "The provider's answer is not valid.")
	case errors.Is(err, social.ErrUnavailable):
		return drf.ProviderFailed(http.StatusServiceUnavailable, "The provider doesn't answer. Try again later.")
	case errors.Is(err, account.ErrAddressClaimed):
		return drf.Invalid(drf.NonField, "There is an account with this address already. Log in to it and link the provider there; or reset its password first, which confirms the address.")
	case errors.Is(err, account.ErrWaiting):
		return drf.ErrWaiting
	case errors.Is(err, account.ErrLastWay):
		return drf.Invalid(drf.NonField, "This is the only way to log in. Set a password first, by a reset, or link another.")
	case errors.Is(err, account.ErrManyIdentities):
		return drf.Invalid(drf.NonField, "Too many are linked. Remove one first.")
	case errors.Is(err, account.ErrFactorNeeded):
		return errFactorNeeded
	case errors.Is(err, account.ErrStale):
		return errUnproved
	case errors.Is(err, account.ErrManyPasskeys):
		return drf.Invalid(drf.NonField, "There are too many passkeys. Remove one first.")
	case errors.As(err, &taken) && taken.IsPasskey():
		return drf.Invalid("credential", "This passkey has been added already.")
	case errors.As(err, &taken) && taken.IsIdentity():
		return drf.Invalid(drf.NonField, "This is linked to another account.")
	}
	return nil
}
