package admin

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/caddy-djoser/djoser/django"
	"github.com/spf13/cobra"
)

func importCommand(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Imports users, groups, tokens, second factors and log-ins with providers from Django",
		Long: `Imports users, groups, tokens, second factors and log-ins with providers that Django's dumpdata wrote:

    manage.py dumpdata auth.user auth.group authtoken.token > dump.json

With django-otp, add otp_totp.totpdevice otp_static; with social-auth,
social_django.usersocialauth.
The file is checked before anything is changed; --dry-run stops there. What exists already
is not changed, so an import can be repeated.`,
		Example: `  caddy djoser import dump.json --dry-run
  caddy djoser import dump.json
  caddy djoser import dump.json --model members.member --skip`,
		Args: exactArgs(1),
	}
	cmd.Flags().Bool("dry-run", false, "Only check the file and list its problems")
	cmd.Flags().Bool("skip", false, "Leave out the rows that can't be imported, instead of importing nothing")
	cmd.Flags().String("model", "", "The project's user model, as app.model (default: auth.user)")
	cmd.RunE = run(func(c *cliContext, args []string) error { return c.importFile(args[0]) })
	return cmd
}

// importFile sends the dump once for each phase.
func (c *cliContext) importFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	model, _ := c.cmd.Flags().GetString("model")
	d, err := readDump(f, model)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	dryRun, _ := c.cmd.Flags().GetBool("dry-run")
	skip, _ := c.cmd.Flags().GetBool("skip")

	report, err := c.importPhase(d, django.PhaseCheck)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	refused := report.Refused()
	if dryRun || refused > 0 && !skip {
		show := func(w io.Writer) {
			showReport(w, report)
			if refused == 0 {
				fmt.Fprintln(w, "Nothing was changed: this was a dry run.")
			}
		}
		if err := c.print(report, show); err != nil {
			return err
		}
		if refused > 0 {
			return &exitError{exitFaults, count(refused, "row") + " can't be imported; nothing was changed"}
		}
		return nil
	}
	return c.importChecked(d, report)
}

// importChecked imports the rows that the check accepted.
func (c *cliContext) importChecked(d *dump, report *django.ImportReport) error {
	d.leaveOut = report.RefusedRows
	done := &django.ImportReport{
		Users:   django.Tally{Rows: report.Users.Refused, Refused: report.Users.Refused},
		Groups:  django.Tally{Rows: report.Groups.Refused, Refused: report.Groups.Refused},
		Tokens:  django.Tally{Rows: report.Tokens.Refused, Refused: report.Tokens.Refused},
		Factors: django.Tally{Rows: report.Factors.Refused, Refused: report.Factors.Refused},
		Codes:   django.Tally{Rows: report.Codes.Refused, Refused: report.Codes.Refused},
		Linked:  django.Tally{Rows: report.Linked.Refused, Refused: report.Linked.Refused},
	}
	done.LeftOut, done.RefusedRows, done.Problems, done.More = report.LeftOut, report.RefusedRows, report.Problems, report.More
	phases := []django.Phase{django.PhaseUsers, django.PhaseTokens}
	if report.Tokens.Rows+report.Factors.Rows+report.Linked.Rows+report.Codes.Rows == 0 {
		phases = phases[:1]
	}
	late := 0
	for _, phase := range phases {
		part, err := c.importPhase(d, phase)
		if err != nil {
			return fmt.Errorf("%s: %w; run the import again to continue", d.file.Name(), err)
		}
		late += len(part.RefusedRows)
		part.Problems = slices.DeleteFunc(part.Problems, func(p django.Problem) bool { return p.Warning })
		done.Merge(part)
	}
	show := func(w io.Writer) {
		showReport(w, done)
		switch {
		case d.rows == 0:
			fmt.Fprintln(w, "Nothing was imported: the file has no rows.")
		case done.Refused() > 0:
			fmt.Fprintln(w, "Imported, without the rows that were refused.")
		default:
			fmt.Fprintln(w, "Imported.")
		}
	}
	if err := c.print(done, show); err != nil {
		return err
	}
	if late > 0 {
		return &exitError{exitFaults, count(late, "row") + " could not be imported, though the check found no error in them"}
	}
	return nil
}

func (c *cliContext) importPhase(d *dump, phase django.Phase) (*django.ImportReport, error) {
	query := url.Values{"phase": {string(phase)}, "model": {d.model}}
	bar := c.newBar()
	defer bar.end()
	body, err := d.body(newReading(d.file, bar, string(phase)))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	report := new(django.ImportReport)
	// Without a length that is known beforehand the body is sent as it is read.
	err = c.send(http.MethodPost, "/import?"+query.Encode(), body, report)
	return report, err
}

// showReport writes the problems and the counts.
func showReport(w io.Writer, r *django.ImportReport) {
	for _, p := range r.Problems {
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		name := p.Model
		if p.PK != "" {
			name += " " + p.PK
		}
		fmt.Fprintf(w, "row %d (%s): %s: %s\n", p.Row, printable(name), kind, printable(p.Text))
	}
	if r.More > 0 {
		fmt.Fprintf(w, "… and %d more problems\n", r.More)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\trows\tnew\tpresent\trefused\tended\t")
	for _, kind := range []struct {
		name string
		django.Tally
	}{{"users", r.Users}, {"groups", r.Groups}, {"tokens", r.Tokens}, {"factors", r.Factors}, {"recovery codes", r.Codes}, {"identities", r.Linked}} {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t\n", kind.name, kind.Rows, kind.Added, kind.Present, kind.Refused, kind.Ended)
	}
	table.Flush()
	for _, model := range slices.Sorted(maps.Keys(r.LeftOut)) {
		fmt.Fprintf(w, "left out: %d of %s\n", r.LeftOut[model], printable(model))
	}
}

func exportCommand(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Writes users and groups for Django's loaddata",
		Long: `Writes users and groups to a file for Django's loaddata. Tokens are not in it,
since only their digests are stored, nor are second factors. The file contains password hashes, and must
not exist yet. A running server writes the file itself, as its user.`,
		Example: "  caddy djoser export /var/backups/djoser/users.json\n  caddy djoser export /var/backups/djoser/members.json --model members.member",
		Args:    exactArgs(1),
	}
	cmd.Flags().String("model", "", "The project's user model, as app.model (default: auth.user)")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		model, _ := c.cmd.Flags().GetString("model")
		file, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		var answer struct {
			File   string `json:"file"`
			Users  int    `json:"users"`
			Groups int    `json:"groups"`
		}
		if err := c.do(http.MethodPost, "/export", &fileBody{File: file, Model: model}, &answer); err != nil {
			return err
		}
		return c.print(&answer, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s, %s.\n", answer.File, count(answer.Users, "user"), count(answer.Groups, "group"))
		})
	})
	return cmd
}
