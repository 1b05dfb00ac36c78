package django

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
)

// groupStore is the store if it keeps groups, or nil.
func groupStore(s model.Store) model.GroupStore {
	g, _ := model.As[model.GroupStore](s)
	return g
}

func (im *importer) loadGroups(ctx context.Context) error {
	s := groupStore(im.accounts.Store)
	if s == nil {
		return nil
	}
	groups, err := s.Groups(ctx)
	for _, g := range groups {
		im.stored[g.ID] = g.Name
		im.storedNames[g.Name] = true
	}
	return err
}

// group imports or checks a group. Accounts refer to groups by name. Ids and
// permissions are kept for exports.
func (im *importer) group(ctx context.Context, row *Row) error {
	if im.groupRows[row.Number] {
		return nil // the command sends groups first, and again in their place
	}
	im.groupRows[row.Number] = true
	id, err := row.id()
	if err != nil {
		return im.refuse(row, "%v", err)
	}
	name, err := row.text("name")
	if err != nil || name == "" {
		return im.refuse(row, "the group has no name")
	}
	if fieldtype.Characters(name) > model.MaxGroup {
		return im.refuse(row, "the group's name has more than %d characters", model.MaxGroup)
	}
	permissions, err := im.permissionsOf(row, "permissions")
	if err != nil {
		return im.refuse(row, "%v", err)
	}
	if id != 0 {
		im.names.Lock()
		im.groups[id] = name
		im.names.Unlock()
	}
	if im.options.Phase == PhaseTokens || im.noted[name] {
		return nil
	}
	im.noted[name] = true
	other := im.stored[id]
	clash := id != 0 && other != "" && other != name
	present := im.storedNames[name]
	if im.options.Phase == PhaseCheck {
		im.checkGroup(row, name)
		if clash {
			im.problem(row, true, "the id belongs to another group here, %s: Django will give this one a new id", other)
		}
	} else if s := groupStore(im.accounts.Store); s != nil && !present {
		if clash {
			id = 0
		}
		if err := s.PutGroup(ctx, &model.Group{ID: id, Name: name, Permissions: permissions}); err != nil {
			return err
		}
	}
	if present {
		return im.count(row, Tally{Rows: 1, Present: 1})
	}
	return im.count(row, Tally{Rows: 1, Added: 1})
}

func (im *importer) checkGroup(row *Row, name string) {
	if len(im.noted) == 1 && groupStore(im.accounts.Store) == nil {
		im.problem(row, true, "this store keeps no groups, only the names that accounts have: their ids and permissions are left out, here and in other rows")
	}
	if model.UnsafeGroup(name) {
		im.problem(row, true, "the group %q is left out of Remote-Groups, where commas separate groups, white space around them counts for nothing, and staff and superuser are flags: rename it", name)
	}
}

func (im *importer) setGroups(row *Row, acc *model.Account) error {
	keys, err := row.keys("groups")
	if err != nil {
		return err
	}
	for _, key := range keys {
		if natural := naturalKey(key, 1); natural != nil {
			if fieldtype.Characters(natural[0]) > model.MaxGroup {
				return fmt.Errorf("it has a group whose name has more than %d characters", model.MaxGroup)
			}
			acc.Groups = append(acc.Groups, natural[0])
			continue
		}
		id, err := parseID(key)
		if err != nil {
			return errors.New("it has a group that is neither an id nor a natural key")
		}
		if name, ok := im.groupName(id); ok {
			acc.Groups = append(acc.Groups, name)
		} else if im.options.Phase == PhaseCheck {
			im.problem(row, true, "group %d is not in the dump, and is left out: dump auth.group as well", id)
		}
	}
	slices.Sort(acc.Groups)
	acc.Groups = slices.Compact(acc.Groups)
	return nil
}

func (im *importer) groupName(id uint64) (string, bool) {
	im.names.RLock()
	defer im.names.RUnlock()
	name, ok := im.groups[id]
	return name, ok
}
