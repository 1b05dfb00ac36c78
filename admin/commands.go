package admin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Command is 'caddy djoser'. If no server is running, it calls open.
func Command(open offlineOpener, repair repairer, examine examiner, find storeFinder) caddycmd.Command {
	return caddycmd.Command{
		Name:  "djoser",
		Usage: "<command>",
		Short: "Manages the accounts of a djoser realm",
		Long: `
Manages the accounts and auth tokens of a djoser realm: users, imports from
Django, exports, backups.

The commands use the admin API of the running server. If no server is running,
they open the store that the configuration names. They say on standard error
which of the two they did.

The exit status is 0 for success, 1 for an error, 3 if the user doesn't exist,
and 4 if a check, a dry run or the doctor found problems.`,
		CobraFunc: func(cmd *cobra.Command) {
			run := newRunner(func(c *cliContext) error {
				c.openOffline = open
				return c.setUp()
			})
			addCommands(cmd, run, repair, examine, find)
		},
	}
}

func addCommands(cmd *cobra.Command, run runner, repair repairer, examine examiner, find storeFinder) {
	cmd.Example = `  caddy djoser user add alice --email alice@example.com --staff
  caddy djoser user list --search alice
  caddy djoser import dump.json --dry-run
  caddy djoser backup /var/backups/djoser/monday.bak
  caddy djoser stats --realm members --config /etc/caddy/Caddyfile`
	flags := cmd.PersistentFlags()
	flags.String("realm", directive.DefaultRealm, "Name of the realm")
	flags.String("address", "", "Address of the server's admin API, such as localhost:2019 or unix//run/caddy.sock; never opens the store itself")
	flags.StringP("config", "c", "", "Configuration file, for the address of the admin API and for the store (default: the Caddyfile in this folder, if only you and root can change it)")
	flags.String("adapter", "", "Name of the adapter of the configuration file (default: caddyfile, unless the file is .json)")
	flags.Bool("json", false, "Write JSON instead of tables")
	group(cmd, userCommand(run), tokenCommand(run), inviteCommand(run), sendActivationCommand(run), sendResetCommand(run),
		settingsCommand(), importCommand(run), exportCommand(run), backupCommand(run), restoreCommand(run), migrateCommand(find), repairCommand(run, repair), checkCommand(run), statsCommand(run), doctorCommand(run, examine))
}

// group adds subcommands. A mistyped one is an error: cobra would show the help and
// exit with success.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(commands...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, c := range commands {
			names = append(names, c.Name())
		}
		return fmt.Errorf("unknown command '%s' after '%s'%s", args[0], cmd.CommandPath(), directive.Suggest(args[0], names))
	}
	return cmd
}

// exactArgs refuses another number of arguments, and says what is missing.
func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		names := strings.Fields(cmd.Use)[1:]
		switch {
		case len(args) < n:
			return fmt.Errorf("%s is missing: '%s %s'", names[len(args)], cmd.CommandPath(), strings.Join(names, " "))
		case len(args) > n:
			return fmt.Errorf("unexpected argument '%s' after '%s'", args[n], strings.Join(append([]string{cmd.CommandPath()}, names...), " "))
		}
		return nil
	}
}

// count is a number of things, as text.
func count[T int | uint64](n T, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprint(n, " ", thing, "s")
}

// Exit statuses of the commands. Caddy itself uses 2.
const (
	exitNoUser = 3
	exitFaults = 4
)

// exitError is an error with an exit status of its own.
type exitError struct {
	status int
	text   string
}

func (e *exitError) Error() string { return e.text }

func exitStatus(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return caddy.ExitCodeSuccess
	case errors.As(err, &exit):
		return exit.status
	case errors.Is(err, account.ErrNoUser):
		return exitNoUser
	}
	return caddy.ExitCodeFailedStartup
}
