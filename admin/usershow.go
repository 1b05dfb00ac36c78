package admin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func userList(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists users",
		Example: `  caddy djoser user list
  caddy djoser user list --search example.com --active=false
  caddy djoser user list --group editors --json | jq -r '.[].name'`,
		Args: exactArgs(0),
	}
	cmd.Flags().String("search", "", "Only users with this in one of their text fields")
	cmd.Flags().String("group", "", "Only users in this group")
	cmd.Flags().Bool("active", false, "Only users who are active, or with =false those who aren't")
	cmd.Flags().Bool("waiting", false, "Only users who wait for approval, or with =false all others")
	cmd.Flags().Bool("invited", false, "The invitations that nobody has used yet, instead of users")
	cmd.Flags().Bool("staff", false, "Only staff, or with =false all others")
	cmd.Flags().Bool("superuser", false, "Only superusers, or with =false all others")
	cmd.RunE = run(func(c *cliContext, _ []string) error {
		if invited, _ := c.cmd.Flags().GetBool("invited"); invited {
			return c.listInvitations()
		}
		query := make(url.Values)
		for _, name := range []string{"search", "group", "active", "waiting", "staff", "superuser"} {
			if f := c.cmd.Flags().Lookup(name); f.Changed {
				query.Set(name, f.Value.String())
			}
		}
		return c.listUsers(query)
	})
	return cmd
}

// listUsers writes all pages.
func (c *cliContext) listUsers(query url.Values) error {
	out := bufio.NewWriter(c.cmd.OutOrStdout())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !c.json {
		fmt.Fprintln(table, "ID\tNAME\tEMAIL\tSTATE\tGROUPS\tLAST LOGIN")
	}
	query.Set("limit", fmt.Sprint(maxPage))
	separator := "["
	for {
		var page userPage
		if err := c.do(http.MethodGet, "/users?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		for _, u := range page.Users {
			if !c.json {
				email, _ := u.Fields["email"].(string)
				fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", u.ID, printable(u.Name), printable(email),
					state(u), printable(strings.Join(u.Groups, ",")), shortTime(u.LastLogin))
				continue
			}
			text, err := json.Marshal(u)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s%s", separator, text)
			separator = ",\n"
		}
		if page.Next == 0 {
			break
		}
		query.Set("after", fmt.Sprint(page.Next))
	}
	if c.json {
		fmt.Fprintln(out, strings.TrimPrefix(separator, ",\n")+"]")
	}
	return errors.Join(table.Flush(), out.Flush())
}

// state lists the account's flags.
func state(u *userView) string {
	words := []string{"active"}
	if !u.IsActive {
		words[0] = "inactive"
	}
	if u.Waiting {
		words[0] = "waiting"
	}
	if u.IsStaff {
		words = append(words, "staff")
	}
	if u.IsSuperuser {
		words = append(words, "superuser")
	}
	if email, _ := u.Fields["email"].(string); email != "" && !u.EmailConfirmed {
		words = append(words, "unconfirmed")
	}
	return strings.Join(words, ",")
}

func shortTime(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

func userShow(run runner) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Shows a user",
		Example: "  caddy djoser user show alice\n  caddy djoser user show id:42 --json",
		Args:    exactArgs(1),
		RunE: run(func(c *cliContext, args []string) error {
			var u userView
			if err := c.do(http.MethodGet, userPath(args[0]), nil, &u); err != nil {
				return err
			}
			return c.print(&u, u.show)
		}),
	}
}

func (u *userView) show(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name string, value any) { fmt.Fprintf(table, "%s\t%s\n", name, printable(fmt.Sprint(value))) }
	line("id", u.ID)
	line("name", u.Name)
	for _, name := range slices.Sorted(maps.Keys(u.Fields)) {
		if value := u.Fields[name]; value != nil && value != "" && value != u.Name {
			line(name, value)
		}
	}
	if u.PendingEmail != "" {
		line("email to be confirmed", u.PendingEmail)
	}
	line("state", state(u))
	line("password", u.Password)
	if f := u.Factor; f != nil {
		line("second factor", fmt.Sprintf("yes, since %s, last used %s, recovery codes left: %d", shortTime(f.Created), shortTime(f.Used), f.Left))
	}
	for _, i := range u.Identities {
		line("logs in with "+i.Provider, fmt.Sprintf("%s (%s), since %s", i.Name, i.ID, shortTime(&i.Linked)))
	}
	for _, p := range u.Passkeys {
		line("passkey", p.Name)
	}
	line("groups", strings.Join(u.Groups, ", "))
	line("joined", shortTime(u.DateJoined))
	line("last login", shortTime(u.LastLogin))
	if u.Language != "" {
		line("language", u.Language)
	}
	for _, r := range u.Reserved {
		line("reserved "+r.Field, r.Name)
	}
	table.Flush()
}
