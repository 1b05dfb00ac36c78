package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func backupCommand(run runner) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Writes a backup, also while the server is running",
		Long: `Writes a snapshot of the store to a file, and reads the file back. The file
contains password hashes and the key that signs links: only its owner can read
it. It must not exist yet. A running server writes the file itself, as its user.`,
		Example: "  caddy djoser backup /var/backups/djoser/$(date +%F).bak",
		Args:    exactArgs(1),
		RunE: run(func(c *cliContext, args []string) error {
			file, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			answer, err := c.backup(file)
			if err != nil {
				return err
			}
			return c.print(answer, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s, %s, read back.\n", answer.File,
					humanize.IBytes(uint64(answer.Bytes)), contents(answer.Accounts, answer.Tokens, answer.Mails))
			})
		}),
	}
}

// contents says how much is in a store or a backup.
func contents(accounts, tokens, mails uint64) string {
	return count(accounts, "user") + ", " + count(tokens, "token") + ", " + count(mails, "mail")
}

func (c *cliContext) backup(file string) (*backupView, error) {
	answer := new(backupView)
	if c.server {
		err := c.do(http.MethodPost, "/backup", &fileBody{File: file}, answer)
		return answer, err
	}
	err := c.withStore(func(s model.BackupStore, _ *model.Model) error {
		stats, err := writeBackup(c.ctx, s, file)
		*answer = backupView{file, stats.Bytes, stats.Accounts, stats.Tokens, stats.Mails}
		return err
	})
	return answer, err
}

// withStore opens the store without the rest of the realm.
func (c *cliContext) withStore(do func(model.BackupStore, *model.Model) error) error {
	defer limitMemory(workMemory)()
	o, err := c.open()
	if err != nil {
		return err
	}
	s, err := o.OpenStore(c.ctx)
	if err != nil {
		return err
	}
	b, err := backupStore(s)
	if err == nil {
		err = do(b, o.Model)
	}
	return errors.Join(err, s.Close())
}

func restoreCommand(run runner) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Fills an empty store from a backup",
		Long: `Fills an empty store from a backup. The server must not be running. Tokens and
links of the backup are valid again.

With --journal, the changes in the journal of the store that was backed up are
made, too, all or up to a time. The journal is the folder "journal" in the store's
folder.`,
		Example: `  caddy djoser restore /var/backups/djoser/2030-01-01.bak --config /etc/caddy/Caddyfile
  caddy djoser restore monday.bak --journal /var/lib/caddy/broken/journal --until 2030-01-01T12:30:00Z`,
		Args: exactArgs(1),
	}
	folder := cmd.Flags().String("journal", "", "Folder of the journal with the changes after the backup")
	moment := cmd.Flags().String("until", "", "Time of the last change to make, such as 2030-01-01T12:30:00Z (default: all of the journal)")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		if c.server {
			return fmt.Errorf("a server is running at %s: stop it first", c.admin)
		}
		until, err := parseUntil(*moment, *folder)
		if err != nil {
			return err
		}
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		return c.withStore(func(s model.BackupStore, m *model.Model) error {
			if *folder == "" {
				err = s.Restore(c.ctx, f)
			} else {
				err = c.restoreJournal(s, f, *folder, until)
			}
			if err != nil {
				return err
			}
			return c.showCheck(checkStore(c.ctx, s, m))
		})
	})
	return cmd
}

func parseUntil(moment, journal string) (until time.Time, err error) {
	if moment == "" {
		return until, nil
	}
	if journal == "" {
		return until, errors.New("--until needs --journal, the folder of the journal")
	}
	if until, err = time.Parse(time.RFC3339, moment); err != nil {
		err = fmt.Errorf("--until %s: a time such as 2030-01-01T12:30:00Z is needed", moment)
	}
	return until, err
}

func (c *cliContext) restoreJournal(s model.BackupStore, backup io.ReadSeeker, journal string, until time.Time) error {
	j, ok := model.As[model.JournalStore](s)
	if !ok {
		return errors.New("this store has no journal")
	}
	changes, last, err := j.RestoreJournal(c.ctx, backup, journal, until)
	if err == nil && changes == 0 {
		c.note("No changes after the backup.")
	} else if err == nil {
		c.note("%d changes after the backup, the last one of %s.", changes, last.UTC().Format(time.RFC3339))
	}
	return err
}

// repairer makes a new store of what can be read of a damaged one, and reports what
// is missing. It is given by the root, since it is for folders that are no store of a
// realm.
type repairer func(ctx context.Context, damaged, fresh, backup string, report func(text string)) (model.Stats, error)

func repairCommand(run runner, repair repairer) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repair DAMAGED NEW",
		Short: "Makes a new store of what can be read of a damaged one",
		Long: `Reads what is whole of the files of a damaged store, and of a backup, and makes a
new store of it in a folder that is empty or doesn't exist. The damaged store is not
changed. The server must not have it open. What is damaged and what is missing is
listed, and then the exit status is 4.

While it runs, it needs free space for three times the store.`,
		Example: "  caddy djoser repair /var/lib/caddy/.local/share/caddy/djoser/default /var/lib/caddy/repaired --backup /var/backups/djoser/monday.bak",
		Args:    exactArgs(2),
	}
	backup := cmd.Flags().String("backup", "", "Backup for what can't be read")
	cmd.RunE = run(func(c *cliContext, args []string) error {
		if err := mayOpen(args[0]); err != nil {
			return err
		}
		defer limitMemory(workMemory)()
		result := &checkReport{Faults: []string{}}
		start := time.Now()
		stats, err := repair(c.ctx, args[0], args[1], *backup, result.add)
		if err != nil {
			return err
		}
		result.count(stats, start)
		return c.showReport(result, "%s in the damaged store; the new one is consistent")
	})
	return cmd
}

func checkCommand(run runner) *cobra.Command {
	return &cobra.Command{
		Use:     "check",
		Short:   "Checks every record of the store",
		Long:    "Reads every record and index of the store, and reports records that don't agree.",
		Example: "  caddy djoser check || mail -s 'djoser check' root </dev/null",
		Args:    exactArgs(0),
		RunE: run(func(c *cliContext, _ []string) error {
			if c.server {
				result := new(checkReport)
				err := c.do(http.MethodPost, "/check", nil, result)
				return c.showCheck(result, err)
			}
			return c.withStore(func(s model.BackupStore, m *model.Model) error {
				return c.showCheck(checkStore(c.ctx, s, m))
			})
		}),
	}
}

func (c *cliContext) showCheck(result *checkReport, err error) error {
	if err != nil {
		return err
	}
	return c.showReport(result, "%s in the store")
}

// showReport shows a report. If it has faults, it returns an error in this format with their
// number.
func (c *cliContext) showReport(result *checkReport, format string) error {
	err := c.print(result, func(w io.Writer) {
		for _, fault := range result.Faults {
			fmt.Fprintln(w, "fault:", printable(fault))
		}
		if result.More > 0 {
			fmt.Fprintf(w, "… and %d more faults\n", result.More)
		}
		fmt.Fprintln(w, contents(result.Accounts, result.Tokens, result.Mails)+".")
		if len(result.Faults) == 0 {
			fmt.Fprintln(w, "ok")
		}
	})
	if n := len(result.Faults) + result.More; n > 0 && err == nil {
		return &exitError{exitFaults, fmt.Sprintf(format, count(n, "fault"))}
	}
	return err
}

func statsCommand(run runner) *cobra.Command {
	return &cobra.Command{
		Use:     "stats",
		Short:   "Shows how much a realm holds",
		Example: "  caddy djoser stats\n  caddy djoser stats --json",
		Args:    exactArgs(0),
		RunE: run(func(c *cliContext, _ []string) error {
			var s realmStats
			if err := c.do(http.MethodGet, "/stats", nil, &s); err != nil {
				return err
			}
			return c.print(&s, func(w io.Writer) {
				table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				fmt.Fprintf(table, "realm\t%s\nstore\t%s\nusers\t%d\ntokens\t%d\nmails waiting\t%d\non disk\t%s\n",
					s.Realm, printable(s.Store), s.Accounts, s.Tokens, s.Mails, humanize.IBytes(uint64(s.Bytes)))
				if looked := s.CacheHits + s.CacheMisses; looked > 0 {
					fmt.Fprintf(table, "checks from memory\t%d%%\n", 100*s.CacheHits/looked)
				}
				table.Flush()
			})
		}),
	}
}
