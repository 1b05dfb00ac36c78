package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/caddy-djoser/djoser/django"
	"github.com/spf13/cobra"
)

// settingsCommand needs neither a server nor a store.
func settingsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "settings FILE",
		Short: "Turns a Django project's settings into a djoser block",
		Long: `Turns the settings of a Django project with djoser 2, in JSON, into a djoser block
for the Caddyfile, and writes to standard error what has no counterpart and what to do
about it. FILE is an object with the members DJOSER and SIMPLE_JWT and Django's own
settings, or the value of DJOSER alone; - is standard input. No secret is written:

    manage.py shell -c 'import json
    from django.conf import settings
    names = "DJOSER SIMPLE_JWT DOMAIN SITE_NAME DEFAULT_FROM_EMAIL EMAIL_HOST EMAIL_PORT"
    print(json.dumps({n: getattr(settings, n, None) for n in names.split()}, default=str))'`,
		Example: "  caddy djoser settings settings.json",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dump, err := readSettings(cmd, args[0])
			if err != nil {
				return err
			}
			converted, err := django.ConvertSettings(dump)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(converted)
			}
			for _, note := range converted.Notes {
				fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), converted.Caddyfile)
			return err
		},
	}
}

// readSettings reads a file, or standard input, but not more than can be settings.
func readSettings(cmd *cobra.Command, name string) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, django.MaxSettings+1))
}
