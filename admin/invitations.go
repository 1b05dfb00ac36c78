package admin

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/spf13/cobra"
)

// invitationView is the JSON of an invitation.
type invitationView struct {
	Address string    `json:"address"`
	Groups  []string  `json:"groups"`
	Mailed  bool      `json:"mailed"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Link    string    `json:"link,omitempty"` // of a new one, if it isn't mailed
}

func viewInvitation(i *model.Invitation) *invitationView {
	return &invitationView{i.Address, append([]string{}, i.Groups...), i.Mailed, i.Created.UTC(), i.Expires.UTC(), ""}
}

func (m *request) listInvitations() (any, error) {
	all, err := m.accounts.Invitations(m.r.Context())
	if err != nil {
		return nil, err
	}
	list := make([]*invitationView, len(all))
	for i, invitation := range all {
		list[i] = viewInvitation(invitation)
	}
	return map[string]any{"invitations": list}, nil
}

// inviteBody is the body of a request for an invitation.
type inviteBody struct {
	Address string   `json:"address"`
	Groups  []string `json:"groups"`
	Print   bool     `json:"print"` // answer with the link instead of mailing it
}

func (m *request) invite() (any, error) {
	var body inviteBody
	if err := m.body(&body); err != nil {
		return nil, err
	}
	if err := m.canInvite(&body); err != nil {
		return nil, err
	}
	invitation, err := m.accounts.Invite(m.r.Context(), body.Address, body.Groups, body.Print, m.client())
	m.record(nil, err)
	if err != nil {
		return nil, err
	}
	view := viewInvitation(invitation)
	if body.Print {
		view.Link, _ = m.realm.InvitationLink(m.accounts.Links.Code(invitation))
	}
	return view, nil
}

// canInvite returns an error if the realm can't make the invitation.
func (m *request) canInvite(body *inviteBody) error {
	refuse := func(text string) error { return &apiError{http.StatusConflict, text, nil} }
	if r := m.accounts.Rules.Registration; !r.TakesInvitations() {
		return refuse(fmt.Sprintf("registration is %s in this realm: invitations are for 'registration invite' and 'registration approve'", r))
	}
	if _, missing := m.realm.InvitationLink(""); missing != "" {
		return refuse(missing)
	}
	if !body.Print && !m.realm.SendsMails {
		return refuse("the realm has no mailer: print the link, and pass it on yourself")
	}
	return (&editBody{Groups: body.Groups}).checkGroups()
}

func (m *request) uninvite() (any, error) {
	invitation, err := m.accounts.Uninvite(m.r.Context(), m.path[1])
	if errors.Is(err, model.ErrNotFound) {
		err = NotFound(fmt.Sprintf("there is no invitation for %s", m.path[1]))
	}
	m.record(nil, err)
	if err != nil {
		return nil, err
	}
	return viewInvitation(invitation), nil
}

func (m *request) approve() (any, error) {
	return m.done(m.accounts.Approve(m.r.Context(), m.user.ID, m.client()))
}

func (m *request) reject() (any, error) {
	return m.done(m.accounts.Reject(m.r.Context(), m.user.ID, m.client()))
}

func inviteCommand(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "invite ADDRESS",
		Short: "Invites somebody to sign up",
		Long: `Mails somebody a link to sign up with: once, with that address, within
link_ttl. It is for realms with 'registration invite' or 'registration approve'.
A new invitation replaces the one before. 'user list --invited' lists them.`,
		Example: `  caddy djoser invite alice@example.com --group editors
  caddy djoser invite bob@example.com --print
  caddy djoser invite bob@example.com --revoke`,
		Args: exactArgs(1),
	}
	cmd.Flags().StringArray("group", nil, "A group of the new user; may be repeated")
	cmd.Flags().Bool("print", false, "Print the link instead of mailing it; the address is then confirmed like any other")
	cmd.Flags().Bool("revoke", false, "Revoke the invitation")
	cmd.MarkFlagsMutuallyExclusive("revoke", "print")
	cmd.MarkFlagsMutuallyExclusive("revoke", "group")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		var view invitationView
		if revoke, _ := c.cmd.Flags().GetBool("revoke"); revoke {
			if err := c.do(http.MethodDelete, "/invitations/"+url.PathEscape(args[0]), nil, &view); err != nil {
				return err
			}
			return c.print(&view, func(w io.Writer) { fmt.Fprintf(w, "The invitation of %s is revoked.\n", printable(view.Address)) })
		}
		body := inviteBody{Address: args[0]}
		body.Groups, _ = c.cmd.Flags().GetStringArray("group")
		body.Print, _ = c.cmd.Flags().GetBool("print")
		if err := c.do(http.MethodPost, "/invitations", &body, &view); err != nil {
			return err
		}
		return c.print(&view, func(w io.Writer) {
			if view.Link != "" {
				fmt.Fprintln(w, view.Link)
				return
			}
			fmt.Fprintf(w, "A mail to %s is in the outbox.\n", printable(view.Address))
		})
	})
	return cmd
}

// listInvitations writes the invitations that nobody has used yet.
func (c *cliContext) listInvitations() error {
	var answer struct {
		Invitations []*invitationView `json:"invitations"`
	}
	if err := c.do(http.MethodGet, "/invitations", nil, &answer); err != nil {
		return err
	}
	return c.print(answer.Invitations, func(w io.Writer) {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ADDRESS\tGROUPS\tLINK\tEXPIRES")
		for _, i := range answer.Invitations {
			how := "printed"
			if i.Mailed {
				how = "mailed"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable(i.Address), printable(strings.Join(i.Groups, ",")), how, shortTime(&i.Expires))
		}
		table.Flush()
	})
}
