// Package postgres keeps accounts, tokens and mails in PostgreSQL, for several servers that
// share them. It is the Caddy module djoser.stores.postgres, which a build adds.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
)

func init() { caddy.RegisterModule(Store{}) }

// Defaults of a Store.
const (
	defaultMaxConns = 16
	defaultTimeout  = 5 * time.Second
)

// Store keeps a realm in a schema of a PostgreSQL database, version 13 or newer. Several
// servers may have the same one.
//
// The schema is made and migrated at the start, which needs the right to do so. After that,
// the rights to select, insert, update and delete in its tables, and to use its
// sequences, are enough.
type Store struct {
	// URL is where the database is, as libpq has it, such as
	// postgres://user:password@host/database?sslmode=verify-full. It may name several hosts.
	// Required.
	URL string `json:"url,omitempty"`

	// Schema is the schema of the realm. Default: djoser, and djoser_<realm> for a realm that
	// isn't the default one.
	Schema string `json:"schema,omitempty"`

	// MaxConns is the maximum number of connections, beside one on which the server hears
	// of others. Default: pool_max_conns of the URL, or 16.
	MaxConns int `json:"max_conns,omitempty"`

	// Timeout is how long a request waits for the database. One that doesn't answer at all
	// is noticed within 2 seconds, whatever the timeout. Default: 5 seconds.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// StatementTimeout is how long the database works on one statement of a change.
	// Default: Timeout.
	StatementTimeout caddy.Duration `json:"statement_timeout,omitempty"`

	// Grace is how long tokens that were used shortly before are good while the database
	// doesn't answer. Default: 5 seconds at most.
	Grace caddy.Duration `json:"grace,omitempty"`

	// NoNotifications keeps servers from waking each other up by NOTIFY. Default: false.
	NoNotifications bool `json:"no_notifications,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "djoser.stores.postgres",
		New: func() caddy.Module { return new(Store) },
	}
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens:
//
//	postgres <url> {
//		schema            <name>
//		max_conns         <number>
//		timeout           <duration>
//		statement_timeout <duration>
//		grace             <duration>
//		notifications     [on|off]
//	}
func (p *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if !d.NextArg() {
		return d.Err("store postgres needs the URL of the database, such as {env.DATABASE_URL}")
	}
	p.URL = d.Val()
	if p.URL == "" {
		return d.Err("the URL of the database is empty")
	}
	if d.NextArg() {
		return d.Errf("unexpected argument %q: postgres takes one URL", d.Val())
	}
	notifications := true
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch option := d.Val(); option {
		case "schema":
			err = directive.CheckedArg(d, &p.Schema, directive.Expandable(checkSchema))
		case "max_conns":
			err = directive.IntArg(d, &p.MaxConns, 1, 10_000)
		case "timeout":
			err = directive.DurationArg(d, &p.Timeout)
		case "statement_timeout":
			err = directive.DurationArg(d, &p.StatementTimeout)
		case "grace":
			err = directive.DurationArg(d, &p.Grace)
		case "notifications":
			err = directive.SwitchArg(d, &notifications)
		default:
			return d.Errf("unknown option %q of the postgres store: it has schema, max_conns, timeout, statement_timeout, grace and notifications", option)
		}
		if err != nil {
			return err
		}
	}
	p.NoNotifications = !notifications
	return nil
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func checkSchema(name string) error {
	if !schemaName.MatchString(name) {
		return errors.New("the name of a schema has small letters, digits and underscores, and begins with a letter")
	}
	return nil
}

// Provision expands placeholders.
func (p *Store) Provision(caddy.Context) (err error) {
	if p.URL, err = directive.Expand("URL of the postgres store", p.URL); err != nil {
		return err
	}
	p.Schema, err = directive.Expand("schema of the postgres store", p.Schema)
	return err
}

// Validate checks the settings. It connects to nothing.
func (p *Store) Validate() error {
	if _, err := p.config(); err != nil {
		return err
	}
	if p.Schema != "" {
		if err := checkSchema(p.Schema); err != nil {
			return fmt.Errorf("schema of the postgres store: %w", err)
		}
	}
	if p.MaxConns < 0 || p.Timeout < 0 || p.StatementTimeout < 0 || p.Grace < 0 {
		return errors.New("a number of the postgres store is negative")
	}
	return nil
}

// config returns how to connect. Its error doesn't quote the URL, which has a password.
func (p *Store) config() (*pgxpool.Config, error) {
	if p.URL == "" {
		return nil, errors.New("the postgres store has no URL")
	}
	config, err := pgxpool.ParseConfig(p.URL)
	if err != nil {
		return nil, errors.New("the URL of the postgres store can't be read: it is as postgres://user:password@host/database?sslmode=verify-full")
	}
	if p.MaxConns > 0 {
		config.MaxConns = int32(p.MaxConns)
	} else if !strings.Contains(p.URL, "pool_max_conns") {
		config.MaxConns = defaultMaxConns
	}
	if !strings.Contains(p.URL, "default_query_exec_mode") {
		// Without prepared statements, which pgbouncer passes on only since version 1.21.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = defaultTimeout
	}
	return config, nil
}

// schema returns the schema of a realm.
func (p *Store) schema(realm string) (string, error) {
	switch {
	case p.Schema != "":
		return p.Schema, nil
	case realm == directive.DefaultRealm:
		return "djoser", nil
	}
	name := "djoser_" + strings.ToLower(realm)
	if checkSchema(name) != nil {
		return "", fmt.Errorf("realm %q can't name a schema: give its postgres store one with 'schema'", realm)
	}
	return name, nil
}

// Location names the host, the database and the schema, without the password.
func (p *Store) Location(realm string) (string, error) {
	config, err := p.config()
	if err != nil {
		return "", err
	}
	schema, err := p.schema(realm)
	if err != nil {
		return "", err
	}
	c := config.ConnConfig
	host := fmt.Sprintf("%s:%d", c.Host, c.Port)
	for _, f := range c.Fallbacks {
		if other := fmt.Sprintf("%s:%d", f.Host, f.Port); !strings.Contains(host, other) {
			host += "," + other
		}
	}
	return fmt.Sprintf("postgres://%s/%s/%s", host, c.Database, schema), nil
}

// Open opens the store, and makes or migrates its schema if needed.
func (p *Store) Open(ctx context.Context, location string, log *zap.Logger) (model.Store, error) {
	return p.open(ctx, location, log, time.Now)
}

func (p *Store) open(ctx context.Context, location string, log *zap.Logger, clock func() time.Time) (model.Store, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	return open(ctx, config, p.settings(location, clock), log.With(zap.String("store", location)))
}

// settings returns the settings for the store at a location.
func (p *Store) settings(location string, clock func() time.Time) settings {
	timeout := cmp.Or(time.Duration(p.Timeout), defaultTimeout)
	return settings{
		schema:  location[strings.LastIndexByte(location, '/')+1:],
		timeout: timeout, statementTimeout: cmp.Or(time.Duration(p.StatementTimeout), timeout), grace: time.Duration(p.Grace), notifies: !p.NoNotifications, clock: clock,
	}
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Store)(nil)
	_ caddy.Validator       = (*Store)(nil)
	_ caddyfile.Unmarshaler = (*Store)(nil)
)
