package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/caddy-djoser/djoser/stores/migration"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

// NamedStore is a store that a command names.
type NamedStore struct {
	Location string
	Module   migration.Module
}

// storeFinder finds the store that a text names, with a schema if it is in PostgreSQL. It is
// given by the root, which knows the modules.
type storeFinder func(text, realm, schema string) (*NamedStore, error)

func migrateCommand(find storeFinder) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Moves a store into another one, such as PostgreSQL",
		Long: `Copies all that a store has into an empty one, and compares both. Users, passwords,
tokens, second factors, groups, invitations, links in mails and mails that wait stay as
they are: nobody has to log in again. The store after --from isn't changed.

A store is written as badger:DIR or postgres:URL. The URL may be a placeholder, so that
its password isn't seen: 'postgres:{env.DATABASE_URL}'.

Servers must be stopped: a store that one has open is refused. If it is interrupted, the
same command goes on where it was, and no server opens the target until it is complete.`,
		Example: `  caddy djoser migrate --from badger:/var/lib/caddy/.local/share/caddy/djoser/default --to 'postgres:{env.DATABASE_URL}'
  caddy djoser migrate --from 'postgres:{env.DATABASE_URL}' --to badger:/srv/accounts --schema djoser_members`,
		Args: cobra.NoArgs,
	}
	from := cmd.Flags().String("from", "", "Store to read: badger:DIR or postgres:URL")
	to := cmd.Flags().String("to", "", "Empty store to fill: badger:DIR or postgres:URL")
	schema := cmd.Flags().String("schema", "", "Schema in PostgreSQL (default: that of the realm: djoser, or djoser_<realm>)")
	run := newRunner(func(*cliContext) error { return nil }) // it needs no server or configuration
	cmd.RunE = run(func(c *cliContext, _ []string) error {
		source, err := c.findStore(find, "--from", *from, *schema)
		if err != nil {
			return err
		}
		target, err := c.findStore(find, "--to", *to, *schema)
		if err != nil {
			return err
		}
		if source.Location == target.Location {
			return fmt.Errorf("--from and --to are the same store, %s", source.Location)
		}
		return c.migrate(source, target)
	})
	return cmd
}

func (c *cliContext) findStore(find storeFinder, flag, text, schema string) (*NamedStore, error) {
	if text == "" {
		return nil, fmt.Errorf("%s is missing: 'caddy djoser migrate --from badger:DIR --to postgres:URL', or the other way", flag)
	}
	s, err := find(text, c.realm, schema)
	if err == nil {
		err = mayOpen(s.Location)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return s, nil
}

// migrationView is the answer of a migration.
type migrationView struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Resumed bool   `json:"resumed"`
	*migration.Result
}

func (c *cliContext) migrate(source, target *NamedStore) (err error) {
	defer limitMemory(migrationMemory)()
	log := zap.NewNop()
	from, err := source.Module.OpenSource(c.ctx, source.Location, log)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	own, err := from.Own(c.ctx)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	origin := sha256.Sum256(own.LinkKey) // each store has another one
	to, resumed, err := target.Module.OpenTarget(c.ctx, target.Location, origin[:], log)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	c.note("From %s to %s.", source.Location, target.Location)
	if resumed {
		c.note("Going on with a migration that was interrupted.")
	}
	result, err := c.copyStore(from, to)
	if err != nil {
		return err
	}
	return c.showMigration(&migrationView{source.Location, target.Location, resumed, result})
}

// copyStore runs a migration, and draws its progress.
func (c *cliContext) copyStore(from migration.Source, to migration.Target) (*migration.Result, error) {
	bar := c.newBar()
	defer bar.end()
	result, err := migration.Run(c.ctx, from, to, bar.set)
	switch {
	case err == nil || errors.Is(err, migration.ErrDiffer):
		return result, err
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	}
	return nil, fmt.Errorf("%w; run the same command again to go on", err)
}

func (c *cliContext) showMigration(v *migrationView) error {
	err := c.print(v, func(w io.Writer) {
		for _, fault := range v.Faults {
			fmt.Fprintln(w, printable(fault))
		}
		if v.Before > 0 {
			fmt.Fprintf(w, "%s copied before the interruption.\n", count(v.Before, "record"))
		}
		fmt.Fprintf(w, "%s, %s, %s, %s, %s, %s: the same in both stores.\n", count(v.Users, "user"), count(v.Tokens, "token"), count(v.Mails, "mail"),
			count(v.Groups, "group"), count(v.Invitations, "invitation"), count(v.Held, "held name"))
		if len(v.Faults) == 0 {
			fmt.Fprintln(w, "Name the new store in the Caddyfile now, and start the server.")
		}
	})
	if n := len(v.Faults); n > 0 && err == nil {
		return &exitError{exitFaults, "the source has " + count(n, "fault") + ": repair it, or restore a backup of it, and begin again with an empty target"}
	}
	return err
}
