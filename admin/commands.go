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

// Command is 'caddy djoser'. Without a server it opens realms with open.
func Command(open offlineOpener) caddycmd.Command {
	return caddycmd.Command{
		Name:  "djoser",
		Usage: "<command>",
		Short: "Manages the accounts of a djoser realm",
		Long: `
Manages the accounts and auth tokens of a djoser realm: users, imports from
Django, exports, backups.

The commands speak to the running server through Caddy's admin API. Where none
is running they open the store themselves, as the configuration describes it.
Which of the two it was is told on standard error.

The exit status is 0 if all went well, 1 if not, 3 if there is no such user,
and 4 if a check or a dry run found something.`,
		CobraFunc: func(cmd *cobra.Command) { addCommands(cmd, newRunner(open)) },
	}
}

func addCommands(cmd *cobra.Command, run runner) {
	cmd.Example = `  caddy djoser user add alice --email alice@example.com --staff
  caddy djoser user list --search alice
  caddy djoser import dump.json --dry-run
  caddy djoser backup /var/backups/djoser/monday.bak
  caddy djoser stats --realm members --config /etc/caddy/Caddyfile`
	flags := cmd.PersistentFlags()
	flags.String("realm", directive.DefaultRealm, "Name of the realm")
	flags.String("address", "", "Address of the server's admin API, such as localhost:2019 or unix//run/caddy.sock; the store is not opened instead")
	flags.StringP("config", "c", "", "Configuration file, for the address of the admin API and for the store (default: Caddyfile in this folder, if there is one and only you or root can change it)")
	flags.String("adapter", "", "Name of the adapter of the configuration file (default: caddyfile, unless the file is .json)")
	flags.Bool("json", false, "Write JSON instead of tables")
	group(cmd, userCommand(run), tokenCommand(run), sendActivationCommand(run), sendResetCommand(run),
		importCommand(run), exportCommand(run), backupCommand(run), restoreCommand(run), checkCommand(run), statsCommand(run))
}

// group adds commands to a command. A mistyped one is an error; cobra alone would
// show the help and exit with success.
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
		return fmt.Errorf("unknown command '%s' after '%s': use %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
	}
	return cmd
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
