// Package store is an example of a custom store: the Badger store with a line in
// Caddy's log for every account that is made, changed or deleted. In a
// Caddyfile: store audited [<path>]
package store

import (
	"context"

	"github.com/caddy-djoser/djoser"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
)

func init() { caddy.RegisterModule(Audited{}) }

// Audited has the settings of the Badger store.
type Audited struct {
	djoser.BadgerStore
}

// CaddyModule returns the Caddy module information.
func (Audited) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser.stores.audited", New: func() caddy.Module { return new(Audited) }}
}

// Open implements djoser.StoreModule.
func (a *Audited) Open(ctx context.Context, location string, log *zap.Logger) (djoser.Store, error) {
	s, err := a.BadgerStore.Open(ctx, location, log)
	if err != nil {
		return nil, err
	}
	return &auditedStore{Store: s, log: log.Named("audit")}, nil
}

// auditedStore passes all calls to the wrapped store.
type auditedStore struct {
	djoser.Store
	log *zap.Logger
}

// Unwrap lets model.As find other abilities of the wrapped store, such as backups.
func (s *auditedStore) Unwrap() djoser.Store { return s.Store }

// Commit implements djoser.Store.
func (s *auditedStore) Commit(ctx context.Context, c *djoser.Change) error {
	isNew := c.Account != nil && c.Account.Version == 0
	if err := s.Store.Commit(ctx, c); err != nil {
		return err
	}
	switch {
	case c.Account == nil:
	case c.Delete:
		s.log.Info("account deleted", zap.Uint64("id", c.Account.ID))
	case isNew:
		s.log.Info("account made", zap.Uint64("id", c.Account.ID))
	default:
		s.log.Info("account changed", zap.Uint64("id", c.Account.ID))
	}
	return nil
}

// Interface guards
var (
	_ djoser.StoreModule    = (*Audited)(nil)
	_ caddyfile.Unmarshaler = (*Audited)(nil)
)
