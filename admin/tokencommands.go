package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func tokenCommand(run runner) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Lists and ends logins"}
	list := &cobra.Command{
		Use:     "list NAME",
		Short:   "Lists the logins of a user",
		Example: "  caddy djoser token list alice",
		Args:    cobra.ExactArgs(1),
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
	return group(cmd, list, revoke)
}

func showTokens(w io.Writer, tokens []*tokenView) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tCREATED\tEXPIRES\tUSED\tADDRESS\tAGENT")
	for _, t := range tokens {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, shortTime(&t.Created), shortTime(t.Expires),
			shortTime(t.Used), printable(t.Address), printable(t.Agent))
	}
	table.Flush()
}
