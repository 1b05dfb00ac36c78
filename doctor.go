package djoser

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/doctor"
	"github.com/caddy-djoser/djoser/settings"
)

// examine is 'caddy djoser doctor' for all realms that a configuration defines.
func examine(ctx context.Context, config []byte, sendTo string) ([]doctor.Finding, error) {
	definitions, err := findDefinitions(config)
	if err != nil {
		return nil, err
	}
	if len(definitions) == 0 {
		return nil, fmt.Errorf("no djoser directive defines a realm there")
	}
	var realms []*doctor.Realm
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		found, done := patient(name, definitions[name])
		defer done()
		realms = append(realms, found)
	}
	return doctor.Examine(ctx, config, realms, sendTo)
}

// patient sets a realm up as the server does, with its mailer, but opens nothing.
func patient(name string, s *settings.Settings) (found *doctor.Realm, done func()) {
	found, done = &doctor.Realm{Name: name}, func() {}
	mailer := settings.Engine(s.MailerRaw)
	caddyContext, cancel, err := offlineContext()
	if err != nil {
		found.Err = err
		return found, done
	}
	_, r, err := defineAlone(caddyContext, name, s)
	if err != nil {
		found.Err = err
		return found, cancel
	}
	s = r.settings
	*found = doctor.Realm{
		Name: name, Domain: s.Domain, Mailer: mailer, From: s.FromEmail, Store: r.location,
		Open: s.Registration == account.RegistrationOpen, Proves: s.SendActivationEmail,
		Send: func(ctx context.Context, to string) error {
			return r.mailer.Send(ctx, r.renderer.Trial(to))
		},
	}
	return found, cancel
}
