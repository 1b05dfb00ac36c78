package django

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
)

// user imports or checks an account.
func (im *importer) user(ctx context.Context, row *Row) error {
	acc, stored, err := im.find(ctx, row)
	switch {
	case errors.As(err, new(*clashError)):
		im.isRefused(row)
		return im.refuse(row, "%v", err)
	case err != nil:
		return err
	case stored != nil:
		im.isStored(row)
		return im.count(row, Tally{Rows: 1, Present: 1})
	case im.options.Phase == PhaseCheck:
		im.remember(row, acc)
		return im.count(row, Tally{Rows: 1, Added: 1})
	}
	err = im.accounts.Commit(ctx, &model.Change{Account: acc, Signature: im.accounts.Model.Signature()})
	if taken := new(model.TakenError); errors.As(err, &taken) {
		return im.refuse(row, "another account has the same %s, or a deleted one had it: see 'caddy djoser user free-name'", taken.Field)
	}
	if err != nil {
		return err
	}
	return im.count(row, Tally{Rows: 1, Added: 1})
}

// owner notes which account a user of the dump is here, for what refers to it.
func (im *importer) owner(ctx context.Context, row *Row) error {
	_, stored, err := im.find(ctx, row)
	if err != nil && !errors.As(err, new(*clashError)) {
		return err
	}
	if stored == nil {
		im.isRefused(row)
	} else {
		im.isStored(row)
	}
	return nil
}

// find makes an account from a row, and looks for it in the store.
func (im *importer) find(ctx context.Context, row *Row) (acc, stored *model.Account, err error) {
	if acc, err = im.account(row); err != nil {
		return nil, nil, &clashError{err.Error()}
	}
	stored, err = im.present(ctx, acc)
	return acc, stored, err
}

// account makes an account from a row, and warns of what is odd.
func (im *importer) account(row *Row) (*model.Account, error) {
	m := im.accounts.Model
	acc := &model.Account{}
	var err error
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	if acc.ID, err = row.id(); err != nil {
		return nil, err
	}
	if acc.ID > maxImportedID {
		return nil, errors.New("its primary key is too large: new accounts get larger ids, and would run out of them")
	}
	acc.Password, err = row.text("password")
	check(err)
	acc.IsActive, err = row.flag("is_active", true)
	check(err)
	acc.IsStaff, err = row.flag("is_staff", false)
	check(err)
	acc.IsSuperuser, err = row.flag("is_superuser", false)
	check(err)
	acc.DateJoined, err = row.time("date_joined")
	check(err)
	acc.LastLogin, err = row.time("last_login")
	check(err)
	acc.Permissions, err = im.permissionsOf(row, "user_permissions")
	check(err)
	check(im.setGroups(row, acc))
	check(im.setFields(row, acc))
	if err := errors.Join(errs...); err != nil {
		return nil, errorLine(err)
	}
	// Django doesn't record this: an active account there was activated by mail, or
	// made by somebody who knew the owner.
	acc.EmailConfirmed = acc.IsActive && acc.Email != ""
	if m.Name(acc) == "" {
		return nil, fmt.Errorf("it has no %s, which is the username field here", m.Username.Name)
	}
	if acc.Keys, err = m.Keys(acc); err != nil {
		return nil, err
	}
	im.warn(row, acc)
	return acc, nil
}

// errorLine writes joined errors in one line.
func errorLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }

func (im *importer) warn(row *Row, acc *model.Account) {
	if im.options.Phase != PhaseCheck {
		return
	}
	m := im.accounts.Model
	if name := m.Name(acc); m.Username.Key(m.Normalize(name)) != m.Username.Key(name) {
		im.problem(row, true, "the %s is not in the normal form in which names are looked up: nobody can log in with it until it is changed", m.Username.Name)
	}
	if !m.CheckName(m.Normalize(m.Name(acc))) {
		im.problem(row, true, "the API would refuse this %s: it has other characters than letters, digits and @/./+/-/_, begins with . or -, or has no letter or digit; it is kept, but a back end that makes a path or a command of it may read it as a folder or an option", m.Username.Name)
	}
	if password.Usable(acc.Password) && !password.Known(acc.Password) {
		im.problem(row, true, "the password's hash has a format that is not supported: the user needs a new password")
	}
}

func (im *importer) setFields(row *Row, acc *model.Account) error {
	m := im.accounts.Model
	for _, f := range m.Declared {
		if _, ok := row.Fields[f.Name]; !ok {
			continue
		}
		value, warning, err := row.value(f)
		if err != nil {
			return err
		}
		if warning != "" && im.options.Phase == PhaseCheck {
			im.problem(row, true, "%s", warning)
		}
		f.Set(acc, value)
	}
	if im.options.Phase != PhaseCheck {
		return nil
	}
	for name := range row.Fields {
		if m.Field(name) == nil && !slices.Contains(userFields, name) && im.firstTime(name) {
			im.problem(row, true, "the field %s is left out, here and in other rows: declare it in user_model to keep it", name)
		}
	}
	return nil
}

func (im *importer) firstTime(field string) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	first := !im.fields[field]
	im.fields[field] = true
	return first
}

// reserved refuses a name that another account gave up.
func (im *importer) reserved(ctx context.Context, acc *model.Account, key model.Key) error {
	key.Reserved = true
	stored, err := im.accounts.Store.AccountByKey(ctx, key)
	switch {
	case errors.Is(err, model.ErrNotFound) || err == nil && stored.ID == acc.ID:
		return nil
	case err != nil:
		return err
	}
	return &clashError{fmt.Sprintf("the %s is reserved for account %d here, which gave it up: it can be freed with 'caddy djoser user free-name'", key.Field, stored.ID)}
}

// clashError says why a row can't be imported, such as which stored account it
// conflicts with.
type clashError struct{ text string }

func (e *clashError) Error() string { return e.text }

// refuseClash refuses a row that clashes. Any other error ends the import.
func (im *importer) refuseClash(row *Row, err error) error {
	if errors.As(err, new(*clashError)) {
		return im.refuse(row, "%v", err)
	}
	return err
}

// present returns the account if it is in the store already, or nil. It is the
// same account if id and name are equal. A row without an id must have the same
// name and date_joined: the name alone may have been registered here by somebody
// else.
func (im *importer) present(ctx context.Context, acc *model.Account) (*model.Account, error) {
	name := im.accounts.Model.Name(acc)
	if acc.ID != 0 {
		stored, err := im.accounts.Store.Account(ctx, acc.ID)
		switch {
		case err == nil && im.accounts.Model.Name(stored) == name:
			return stored, nil
		case err == nil:
			return nil, &clashError{fmt.Sprintf("the id belongs to another account here, %s", im.accounts.Model.Name(stored))}
		case !errors.Is(err, model.ErrNotFound):
			return nil, err
		}
	}
	for _, key := range acc.Keys {
		if err := im.reserved(ctx, acc, key); err != nil {
			return nil, err
		}
		stored, err := im.accounts.Store.AccountByKey(ctx, key)
		switch {
		case errors.Is(err, model.ErrNotFound):
		case err != nil:
			return nil, err
		case acc.ID == 0 && im.accounts.Model.Name(stored) == name && stored.DateJoined.Equal(acc.DateJoined):
			return stored, nil
		default:
			return nil, &clashError{fmt.Sprintf("account %d here has the same %s", stored.ID, key.Field)}
		}
	}
	return nil, nil
}
