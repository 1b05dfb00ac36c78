package django

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
)

// Export writes the accounts and their groups as dumpdata does. Tokens
// aren't in it: only their digests are known.
func Export(ctx context.Context, a *account.Service, w io.Writer, djangoModel string) (*ImportReport, error) {
	ex := &exporter{w: bufio.NewWriterSize(w, 256<<10)}
	groups, err := exportedGroups(ctx, a.Store)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]uint64)
	for _, g := range groups {
		ids[g.Name] = g.ID
		if err := ex.row(groupRow(g)); err != nil {
			return nil, err
		}
		ex.report.Groups.Rows++
	}
	err = eachAccount(ctx, a.Store, func(acc *model.Account) error {
		ex.report.Users.Rows++
		return ex.row(accountRow(a.Model, acc, cmp.Or(djangoModel, DefaultModel), ids))
	})
	if err != nil {
		return nil, err
	}
	return &ex.report, ex.end()
}

// exportPage is how many accounts are read at once.
const exportPage = 500

// eachAccount calls fn with every account, in order of id.
func eachAccount(ctx context.Context, store model.Store, fn func(*model.Account) error) error {
	for after := uint64(0); ; {
		page, err := store.Accounts(ctx, after, exportPage)
		if err != nil {
			return err
		}
		for _, acc := range page {
			if err := fn(acc); err != nil {
				return err
			}
		}
		if len(page) < exportPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

// exportedGroups are the groups that were imported, and the other groups of
// accounts, which Django finds by name.
func exportedGroups(ctx context.Context, store model.Store) ([]*model.Group, error) {
	known := make(map[string]*model.Group)
	if s := groupStore(store); s != nil {
		groups, err := s.Groups(ctx)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			known[g.Name] = g
		}
	}
	err := eachAccount(ctx, store, func(acc *model.Account) error {
		for _, name := range acc.Groups {
			if known[name] == nil {
				known[name] = &model.Group{Name: name}
			}
		}
		return nil
	})
	groups := slices.Collect(maps.Values(known))
	slices.SortFunc(groups, func(x, y *model.Group) int { return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Name, y.Name)) })
	return groups, err
}

func groupRow(g *model.Group) (json.RawMessage, error) {
	var f, row PythonObject
	f.Member("name", g.Name)
	f.Member("permissions", permissionKeys(g.Permissions))
	row.Member("model", "auth.group")
	if g.ID != 0 {
		row.Member("pk", g.ID)
	}
	row.Member("fields", f.End())
	return row.End(), errors.Join(f.Err, row.Err)
}

// exporter writes rows as one array.
type exporter struct {
	w      *bufio.Writer
	rows   int
	report ImportReport
}

func (ex *exporter) row(text json.RawMessage, err error) error {
	if err != nil {
		return err
	}
	separator := ",\n"
	if ex.rows == 0 {
		separator = "[\n"
	}
	ex.rows++
	if _, err := ex.w.WriteString(separator); err != nil {
		return err
	}
	_, err = ex.w.Write(text)
	return err
}

func (ex *exporter) end() error {
	if ex.rows == 0 {
		ex.w.WriteString("[")
	}
	ex.w.WriteString("\n]\n") // Flush returns its error
	return ex.w.Flush()
}
