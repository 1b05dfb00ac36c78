package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/caddy-djoser/djoser/serializers"
	"github.com/spf13/cobra"
)

func tokenCommand(run runner) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Lists and ends logins, and makes named tokens"}
	list := &cobra.Command{
		Use:     "list NAME",
		Short:   "Lists the logins of a user",
		Example: "  caddy djoser token list alice",
		Args:    exactArgs(1),
		RunE: run(func(c *cliContext, args []string) error {
			var answer struct {
				Tokens []*tokenView `json:"tokens"`
			}
			if err := c.do(http.MethodGet, userPath(args[0])+"/tokens", nil, &answer); err != nil {
				return err
			}
			return c.print(answer.Tokens, func(w io.Writer) { showTokens(w, answer.Tokens) })
		}),
	}
	add := &cobra.Command{
		Use:   "add NAME",
		Short: "Makes a named token for a program of a user",
		Long: `
Makes a named token for a program of a user, such as git or a calendar, and
prints it. It is shown only this once.`,
		Example: "  caddy djoser token add alice --name calendar --expires 90d --scope dav",
		Args:    exactArgs(1),
	}
	add.Flags().String("name", "", "Name to know the token by (required)")
	add.Flags().String("expires", "", "When it ends: a time from now such as 90d, a date, or a date and time such as 2027-01-31T12:00:00Z (default: never, or named_ttl)")
	add.Flags().StringArray("scope", nil, "Scope that gates may ask for (repeatable)")
	add.RunE = run(func(c *cliContext, args []string) error {
		name, _ := c.cmd.Flags().GetString("name")
		expires, _ := c.cmd.Flags().GetString("expires")
		scopes, _ := c.cmd.Flags().GetStringArray("scope")
		body := map[string]any{"name": name, "expires": expires, "scopes": scopes}
		var made serializers.NewToken
		if err := c.do(http.MethodPost, userPath(args[0])+"/tokens", body, &made); err != nil {
			return err
		}
		return c.print(made, func(w io.Writer) { fmt.Fprintln(w, made.Value) })
	})
	revoke := &cobra.Command{
		Use:     "revoke NAME [ID]",
		Short:   "Ends a login of a user, or all with --all",
		Example: "  caddy djoser token revoke alice 5f70bf18a0860070\n  caddy djoser token revoke alice --all",
		Args:    cobra.RangeArgs(1, 2),
	}
	revoke.Flags().Bool("all", false, "End every login of the user")
	revoke.RunE = run(func(c *cliContext, args []string) error {
		all, _ := c.cmd.Flags().GetBool("all")
		if all == (len(args) == 2) || len(args) == 2 && args[1] == "" {
			return errors.New("name the id of a login, as token list shows it, or --all")
		}
		path, done := userPath(args[0])+"/tokens", "Every login of %s has ended."
		if !all {
			path, done = path+"/"+url.PathEscape(args[1]), "One login of %s has ended."
		}
		return c.change(http.MethodDelete, path, nil, done)
	})
	return group(cmd, list, add, revoke)
}

func showTokens(w io.Writer, tokens []*tokenView) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tNAME\tSCOPES\tCREATED\tEXPIRES\tUSED\tADDRESS\tAGENT")
	for _, t := range tokens {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, printable(t.Name), strings.Join(t.Scopes, " "), shortTime(&t.Created), shortTime(t.Expires),
			shortTime(t.Used), printable(t.Address), printable(t.Agent))
	}
	table.Flush()
}
