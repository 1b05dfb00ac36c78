package admin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/caddy-djoser/djoser/doctor"
	"github.com/spf13/cobra"
)

// examiner looks at all realms of a configuration. It is given by the root, which knows
// their settings.
type examiner func(ctx context.Context, config []byte, sendTo string) ([]doctor.Finding, error)

func doctorCommand(run runner, examine examiner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Looks for what will go wrong",
		Long: `Reads the configuration and looks for what an operator would find out on the first
bad day: links that lead elsewhere, mails that don't go out, a store that others can
read, a disk that is full, a back end that can be reached around its gate. It looks at
all realms, beside a running server or without one, and changes nothing.

The exit status is 4 if there is something to mend.`,
		Example: "  caddy djoser doctor --config /etc/caddy/Caddyfile --send-to me@example.com",
		Args:    exactArgs(0),
	}
	sendTo := cmd.Flags().String("send-to", "", "Address to which each realm's mailer sends one mail")
	cmd.RunE = run(func(c *cliContext, _ []string) error {
		if c.config == nil {
			return errors.New("name the configuration file with --config")
		}
		findings, err := examine(c.ctx, c.config, *sendTo)
		if err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
		findings = append(findings, c.serverFinding())
		return c.showFindings(findings)
	})
	return cmd
}

// serverFinding is whether commands reach the server.
func (c *cliContext) serverFinding() doctor.Finding {
	if c.server {
		return doctor.Finding{Kind: doctor.OK, Text: "the admin API answers at " + c.admin}
	}
	return doctor.Finding{Kind: doctor.Note, Text: "no admin API answers at " + c.admin + ": start the server, or if it runs, give --config or --address as it was started"}
}

func (c *cliContext) showFindings(findings []doctor.Finding) error {
	warnings := 0
	err := c.print(findings, func(w io.Writer) {
		for _, f := range findings {
			realm := ""
			if f.Realm != "" {
				realm = "realm " + f.Realm + ": "
			}
			fmt.Fprintf(w, "%-8s %s%s.\n", f.Kind, realm, printable(f.Text))
		}
	})
	for _, f := range findings {
		if f.Kind == doctor.Warning {
			warnings++
		}
	}
	if warnings > 0 && err == nil {
		return &exitError{exitFaults, count(warnings, "thing") + " to mend"}
	}
	return err
}
