package djoser

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
)

// exportDjango writes the accounts and their groups as dumpdata does. Tokens
// aren't in it: only their digests are known.
func exportDjango(ctx context.Context, a *accounts, w io.Writer, model string) (*importReport, error) {
	ex := &exporter{w: bufio.NewWriterSize(w, 256<<10)}
	groups, err := exportedGroups(ctx, a.store)
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
	err = eachAccount(ctx, a.store, func(acc *Account) error {
		ex.report.Users.Rows++
		return ex.row(accountRow(a.model, acc, cmp.Or(model, defaultDjangoModel), ids))
	})
	if err != nil {
		return nil, err
	}
	return &ex.report, ex.end()
}

// eachAccount calls fn with every account, in order of id.
func eachAccount(ctx context.Context, store Store, fn func(*Account) error) error {
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

// exportedGroups are the groups that were imported, and those that accounts
// have besides, which Django finds by their names.
func exportedGroups(ctx context.Context, store Store) ([]*Group, error) {
	known := make(map[string]*Group)
	if s := groupStore(store); s != nil {
		groups, err := s.Groups(ctx)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			known[g.Name] = g
		}
	}
	err := eachAccount(ctx, store, func(acc *Account) error {
		for _, name := range acc.Groups {
			if known[name] == nil {
				known[name] = &Group{Name: name}
			}
		}
		return nil
	})
	groups := slices.Collect(maps.Values(known))
	slices.SortFunc(groups, func(x, y *Group) int { return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Name, y.Name)) })
	return groups, err
}

func groupRow(g *Group) (json.RawMessage, error) {
	var f, row pythonObject
	f.member("name", g.Name)
	f.member("permissions", permissionKeys(g.Permissions))
	row.member("model", "auth.group")
	if g.ID != 0 {
		row.member("pk", g.ID)
	}
	row.member("fields", f.end())
	return row.end(), errors.Join(f.err, row.err)
}

// exporter writes rows as one array.
type exporter struct {
	w      *bufio.Writer
	rows   int
	report importReport
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
	ex.w.WriteString("\n]\n") // the error stays with the writer
	return ex.w.Flush()
}
