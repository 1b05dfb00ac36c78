package admin

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func userCommand(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Adds, shows, changes and deletes users",
		Long: `Adds, shows, changes and deletes users. NAME is the name for logging in, or
the user's id, such as id:42.`,
	}
	return group(cmd, userAdd(run), userList(run), userShow(run), userEdit(run), userSetPassword(run),
		userVerb(run, "activate", "Lets a user log in", http.MethodPost, "/activate", "%s is active."),
		userVerb(run, "deactivate", "Ends every login of a user, and allows no new ones", http.MethodPost, "/deactivate", "%s is not active any more."),
		userVerb(run, "approve", "Lets in a user who waits for approval, and tells the user", http.MethodPost, "/approve", "%s is approved."),
		userVerb(run, "reject", "Deletes a user who waits for approval, and tells the user", http.MethodPost, "/reject", "%s is rejected."),
		userVerb(run, "reset-mfa", "Removes the second factor of a user who has lost it, ends every login, and tells the user", http.MethodPost, "/reset-mfa", "%s logs in by the password alone now."),
		userConfirmEmail(run), userDelete(run), userFreeName(run))
}

func userPath(name string) string { return "/users/" + url.PathEscape(name) }

// editFlags adds the flags of both 'user add' and 'user edit'.
func editFlags(cmd *cobra.Command) {
	cmd.Flags().String("email", "", "Address")
	cmd.Flags().StringArray("field", nil, "A field of the user model, as name=value; may be repeated")
	cmd.Flags().Bool("staff", false, "Whether the user is staff")
	cmd.Flags().Bool("superuser", false, "Whether the user is a superuser")
	cmd.Flags().StringArray("group", nil, "A group to put the user into; may be repeated")
}

func readEditFlags(cmd *cobra.Command) (map[string]any, error) {
	flags := cmd.Flags()
	fields := make(map[string]any)
	pairs, _ := flags.GetStringArray("field")
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("--field %s: write name=value", pair)
		}
		fields[name] = value
	}
	if flags.Changed("email") {
		fields["email"], _ = flags.GetString("email")
	}
	body := make(map[string]any)
	if len(fields) > 0 {
		body["fields"] = fields
	}
	for _, name := range []string{"staff", "superuser"} {
		if flags.Changed(name) {
			body["is_"+name], _ = flags.GetBool(name)
		}
	}
	if groups, _ := flags.GetStringArray("group"); len(groups) > 0 {
		body["add_groups"] = groups
	}
	return body, nil
}

func userAdd(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Adds a user",
		Long: `Adds a user, who can log in at once. The password is asked for, or read from
standard input if that isn't a terminal.`,
		Example: `  caddy djoser user add alice --email alice@example.com --staff --group editors
  caddy djoser user add bob --unusable --field company="Bob & Sons"
  head -c 18 /dev/urandom | base64 | caddy djoser user add robot`,
		Args: exactArgs(1),
	}
	editFlags(cmd)
	cmd.Flags().Bool("unusable", false, "Give the user no password")
	cmd.Flags().Bool("inactive", false, "Don't let the user log in yet")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		body, err := readEditFlags(c.cmd)
		if err != nil {
			return err
		}
		body["name"] = args[0]
		if inactive, _ := c.cmd.Flags().GetBool("inactive"); inactive {
			body["is_active"] = false
		}
		if unusable, _ := c.cmd.Flags().GetBool("unusable"); !unusable {
			if body["password"], err = c.askPassword(); err != nil {
				return err
			}
		}
		var u userView
		if err := c.do(http.MethodPost, "/users", body, &u); err != nil {
			return err
		}
		return c.print(&u, func(w io.Writer) { fmt.Fprintf(w, "Added %s with id %d.\n", printable(u.Name), u.ID) })
	})
	return cmd
}

// maxPassword bounds what is read of standard input, in bytes.
const maxPassword = 64 << 10

// askPassword asks twice without echo, or reads a line of standard input.
func (c *cliContext) askPassword() (string, error) {
	stdin, ok := c.cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(stdin.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(c.cmd.InOrStdin(), maxPassword)).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return "", errors.New("no password on standard input: write it there as a line, or run the command in a terminal")
		}
		return line, nil
	}
	var typed [2]string
	for i, prompt := range []string{"Password: ", "Again: "} {
		fmt.Fprint(c.cmd.ErrOrStderr(), prompt)
		text, err := term.ReadPassword(int(stdin.Fd()))
		fmt.Fprintln(c.cmd.ErrOrStderr())
		if err != nil {
			return "", err
		}
		typed[i] = string(text)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the passwords differ")
	}
	return typed[0], nil
}

func userEdit(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "edit NAME",
		Short: "Changes a user",
		Long:  "Changes a user. Only what you name is changed.",
		Example: `  caddy djoser user edit alice --staff --group editors
  caddy djoser user edit alice --superuser=false --remove-group editors
  caddy djoser user edit alice --name alicia --email alicia@example.com`,
		Args: exactArgs(1),
	}
	editFlags(cmd)
	cmd.Flags().String("name", "", "New name to log in with")
	cmd.Flags().StringArray("remove-group", nil, "A group to take the user out of; may be repeated")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		body, err := readEditFlags(c.cmd)
		if err != nil {
			return err
		}
		if groups, _ := c.cmd.Flags().GetStringArray("remove-group"); len(groups) > 0 {
			body["remove_groups"] = groups
		}
		if c.cmd.Flags().Changed("name") {
			body["name"], _ = c.cmd.Flags().GetString("name")
		}
		if len(body) == 0 {
			return errors.New("nothing to change: see caddy djoser user edit --help")
		}
		var u userView
		if err := c.do(http.MethodPatch, userPath(args[0]), body, &u); err != nil {
			return err
		}
		return c.print(&u, u.show)
	})
	return cmd
}

func userSetPassword(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set-password NAME",
		Short: "Sets the password of a user, and ends every login",
		Long: `Sets the password of a user, and ends every login. It is asked for, or read
from standard input if that isn't a terminal.`,
		Example: "  caddy djoser user set-password alice\n  caddy djoser user set-password alice --unusable",
		Args:    exactArgs(1),
	}
	cmd.Flags().Bool("unusable", false, "Remove the password instead")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		body := make(map[string]any)
		if unusable, _ := c.cmd.Flags().GetBool("unusable"); unusable {
			body["unusable"] = true
		} else {
			var err error
			if body["password"], err = c.askPassword(); err != nil {
				return err
			}
		}
		return c.change(http.MethodPost, userPath(args[0])+"/password", body, "The password of %s is set.")
	})
	return cmd
}

// change sends a request whose answer is a user, and reports success.
func (c *cliContext) change(method, path string, body any, done string) error {
	var u userView
	if err := c.do(method, path, body, &u); err != nil {
		return err
	}
	return c.print(&u, func(w io.Writer) { fmt.Fprintf(w, done+"\n", printable(u.Name)) })
}

// userVerb is a command with a name as its only argument.
func userVerb(run runner, verb, short, method, path, done string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  exactArgs(1),
		RunE: run(func(c *cliContext, args []string) error {
			return c.change(method, userPath(args[0])+path, nil, done)
		}),
	}
}

func userConfirmEmail(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "confirm-email [NAME...]",
		Short: "Marks the addresses of users as confirmed",
		Long: `Marks the addresses of users as confirmed, so that the gate passes them to back
ends. With --all it does so for every active user with an address: for a site
whose users you know, and after an upgrade from a version that didn't record
which addresses were confirmed.`,
		Example: "  caddy djoser user confirm-email alice bob\n  caddy djoser user confirm-email --all",
	}
	cmd.Flags().Bool("all", false, "Confirm every active user with an address")
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

// confirmAll confirms page after page, so it can be interrupted and run again.
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
	return c.print(answer, func(w io.Writer) { fmt.Fprintf(w, "Confirmed the addresses of %s.\n", count(confirmed, "user")) })
}

func userDelete(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete NAME",
		Short:   "Deletes a user, with every login",
		Example: "  caddy djoser user delete alice\n  caddy djoser user delete id:42 --yes",
		Args:    exactArgs(1),
	}
	cmd.Flags().Bool("yes", false, "Don't ask")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		var u userView
		if err := c.do(http.MethodGet, userPath(args[0]), nil, &u); err != nil {
			return err
		}
		if yes, _ := c.cmd.Flags().GetBool("yes"); !yes {
			if err := c.confirm(fmt.Sprintf("Delete %s (id %d) for ever?", printable(u.Name), u.ID)); err != nil {
				return err
			}
		}
		return c.change(http.MethodDelete, userPath(fmt.Sprintf("id:%d", u.ID)), nil, "Deleted %s.")
	})
	return cmd
}

func userFreeName(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "free-name NAME",
		Short: "Frees a reserved name",
		Long: `Frees a name that is reserved for the user who gave it up, or for a deleted user
(reserve_usernames). Then anybody can take it.`,
		Example: "  caddy djoser user free-name bob\n  caddy djoser user free-name bob@example.com --field email",
		Args:    exactArgs(1),
	}
	cmd.Flags().String("field", "", "Field of the name (default: the username field)")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		field, _ := c.cmd.Flags().GetString("field")
		freed := &reservedName{Field: field, Name: args[0]}
		if err := c.do(http.MethodPost, "/free", freed, freed); err != nil {
			return err
		}
		return c.print(freed, func(w io.Writer) { fmt.Fprintf(w, "%s is free.\n", printable(freed.Name)) })
	})
	return cmd
}

// confirm asks a question, and returns an error unless the answer is yes.
func (c *cliContext) confirm(question string) error {
	fmt.Fprint(c.cmd.ErrOrStderr(), question+" [yes/no] ")
	line, err := bufio.NewReader(io.LimitReader(c.cmd.InOrStdin(), 100)).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "yes" && answer != "y" {
		return errors.New("nothing was changed: answer yes, or use --yes")
	}
	return nil
}

func sendActivationCommand(run runner) *cobra.Command {
	cmd := userVerb(run, "send-activation", "Mails an inactive user a link that activates the account",
		http.MethodPost, "/send-activation", "A mail to %s is in the outbox.")
	cmd.Example = "  caddy djoser send-activation alice"
	return cmd
}

func sendResetCommand(run runner) *cobra.Command {
	cmd := userVerb(run, "send-reset", "Mails a user a link for a new password",
		http.MethodPost, "/send-reset", "A mail to %s is in the outbox.")
	cmd.Example = "  caddy djoser send-reset alice"
	return cmd
}
