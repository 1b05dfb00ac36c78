package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func userConfirmEmail(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "confirm-email [NAME...]",
		Short: "Vouches for the addresses of users",
		Long: `Vouches for the addresses that users have, so that the gate tells back ends of
them. With --all it does so for every active user with an address: for a site
whose users are known, and after an upgrade from a version that didn't note
which addresses were confirmed.`,
		Example: "  caddy djoser user confirm-email alice bob\n  caddy djoser user confirm-email --all",
	}
	cmd.Flags().Bool("all", false, "For every active user with an address")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		all, _ := c.cmd.Flags().GetBool("all")
		if all == (len(args) > 0) {
			return errors.New("name the users, or use --all")
		}
		if all {
			return c.confirmAll()
		}
		for _, name := range args {
			if err := c.change(http.MethodPost, userPath(name)+"/confirm-email", nil, "The address of %s is confirmed."); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

// confirmAll confirms page after page, so that it can be broken off and started
// again.
func (c *cliContext) confirmAll() error {
	confirmed := 0
	query := url.Values{"active": {"true"}, "limit": {fmt.Sprint(maxPage)}}
	for {
		var page userPage
		if err := c.do(http.MethodGet, "/users?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		for _, u := range page.Users {
			if email, _ := u.Fields["email"].(string); email == "" || u.EmailConfirmed {
				continue
			}
			if err := c.do(http.MethodPost, userPath(fmt.Sprintf("id:%d", u.ID))+"/confirm-email", nil, nil); err != nil {
				return err
			}
			confirmed++
		}
		if page.Next == 0 {
			break
		}
		query.Set("after", fmt.Sprint(page.Next))
	}
	answer := map[string]int{"confirmed": confirmed}
	return c.print(answer, func(w io.Writer) { fmt.Fprintf(w, "Confirmed the addresses of %d users.\n", confirmed) })
}
