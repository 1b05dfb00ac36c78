package django

import (
	"context"
	"errors"
	"regexp"
	"slices"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
)

// IdentityModel is the model of log-ins with providers in social-auth-app-django, which djoser
// uses.
const IdentityModel = "social_django.usersocialauth"

// Provider is a provider of the realm.
type Provider struct {
	Name string
	Kind string // of package social
}

// backends are the kinds of social-auth's own backends, by name. What is not here is a
// provider of the same name.
var backends = map[string]string{
	"google-oauth2": "google", "google-openidconnect": "google", "github": "github",
}

// subjects are what the ids of people look like at a provider of a kind.
var subjects = map[string]*regexp.Regexp{
	"google": regexp.MustCompile(`^[0-9]{1,255}$`),
	"github": regexp.MustCompile(`^[0-9]{1,20}$`),
	"oidc":   regexp.MustCompile(`^[!-~]{1,255}$`), // OpenID Connect Core 1.0, 2
}

// provider returns the realm's provider for a backend of social-auth.
func (im *importer) provider(backend string) (p Provider, ok bool) {
	for _, is := range []func(Provider) bool{
		func(p Provider) bool { return p.Name == backend },
		func(p Provider) bool { return p.Kind == backends[backend] },
	} {
		if i := slices.IndexFunc(im.options.Providers, is); i >= 0 {
			return im.options.Providers[i], true
		}
	}
	return Provider{}, false
}

// identity imports or checks a log-in with a provider.
func (im *importer) identity(ctx context.Context, row *Row) error {
	backend, err := row.text("provider")
	uid, uidErr := row.text("uid")
	created, timeErr := row.time("created")
	if err := errors.Join(err, uidErr, timeErr); err != nil {
		return im.refuse(row, "%v", errorLine(err))
	}
	p, ok := im.provider(backend)
	if !ok {
		return im.leaveOut(row, "there is no provider %s here: put the line provider into the djoser block first, see docs/providers.md", backend)
	}
	if !subjects[p.Kind].MatchString(uid) {
		return im.leaveOut(row, "its uid is not the id of somebody at %s: its user is found at the next log-in, if the address there is the confirmed one here", p.Name)
	}
	user, owner, err := im.userOf(ctx, row)
	if err != nil {
		return im.refuseClash(row, err)
	}
	if now := im.accounts.Now(); created.IsZero() || created.After(now) {
		created = now
	}
	i := model.Identity{Provider: p.Name, Subject: uid, Linked: created}
	stored, err := im.accounts.Store.AccountByKey(ctx, i.Key())
	switch {
	case err == nil && stored.ID == owner:
		return im.count(row, Tally{Rows: 1, Present: 1})
	case err == nil:
		return im.refuse(row, "it is linked to another account here")
	case !errors.Is(err, model.ErrNotFound):
		return err
	case im.options.Phase == PhaseCheck:
		return im.rememberIdentity(ctx, row, user, owner, i)
	}
	return im.giveIdentity(ctx, row, owner, i)
}

// rememberIdentity notes that an identity can be imported, unless it is in the dump twice, or its
// user has too many.
func (im *importer) rememberIdentity(ctx context.Context, row *Row, user model.Key, owner uint64, i model.Identity) error {
	here := 0
	switch stored, err := im.accounts.Store.Account(ctx, owner); {
	case err == nil:
		here = len(stored.Identities)
	case !errors.Is(err, model.ErrNotFound):
		return err
	}
	im.mu.Lock()
	taken := im.linked[hashOf(i.Key())] > 0
	many := here+im.linked[hashOf(user)] >= account.MaxIdentities
	if !taken && !many {
		im.linked[hashOf(i.Key())]++
		im.linked[hashOf(user)]++
	}
	im.mu.Unlock()
	switch {
	case taken:
		return im.refuse(row, "the same log-in is in the dump twice")
	case many:
		return im.refuse(row, "its user has more than %d", account.MaxIdentities)
	}
	return im.count(row, Tally{Rows: 1, Added: 1})
}

// giveIdentity gives an account an identity, unless its owner has removed that here.
func (im *importer) giveIdentity(ctx context.Context, row *Row, owner uint64, i model.Identity) error {
	tally := Tally{Rows: 1, Added: 1}
	_, err := im.accounts.Update(ctx, owner, func(acc *model.Account, _ *model.Change) error {
		if len(acc.Identities) >= account.MaxIdentities {
			return account.ErrManyIdentities
		}
		if slices.ContainsFunc(acc.Unlinked, i.Key().Same) {
			tally = Tally{Rows: 1, Present: 1}
			return nil
		}
		acc.Identities = append(acc.Identities, i)
		return nil
	})
	switch {
	case errors.Is(err, account.ErrManyIdentities):
		return im.refuse(row, "its user has %d here already", account.MaxIdentities)
	case errors.As(err, new(*model.TakenError)):
		return im.refuse(row, "it is linked to another account here")
	case errors.Is(err, model.ErrNotFound):
		return im.refuse(row, "its user has been deleted meanwhile")
	case err != nil:
		return err
	}
	return im.count(row, tally)
}
