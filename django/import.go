// Package django imports dumps of Django, and exports to them.
package django

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"golang.org/x/sync/errgroup"
)

// DefaultModel is the user model of a Django project without its own, and TokenModel
// that of REST framework's tokens.
const (
	DefaultModel = "auth.user"
	TokenModel   = "authtoken.token"
)

// Phase is what one pass over a dump does. A dump may not fit in memory: one pass
// checks its rows, one imports the accounts, one their tokens and second factors. The importer doesn't
// keep rows: those that others refer to come first.
type Phase string

const (
	PhaseCheck  Phase = "check"
	PhaseUsers  Phase = "users"
	PhaseTokens Phase = "tokens"
)

// importWorkers is how many rows are imported at once. The store commits them in
// groups of up to half as many, so that one is prepared while another is written.
const importWorkers = 512

// maxProblems is how many problems of a dump are listed. The rest are counted.
const maxProblems = 100_000

// Tally counts rows of a kind.
type Tally struct {
	Rows    int `json:"rows"`
	Added   int `json:"added"`   // in a check: that can be added
	Present int `json:"present"` // imported earlier; not changed
	Refused int `json:"refused"`
	Ended   int `json:"ended,omitempty"` // tokens that are not valid any more
}

func (t *Tally) add(other Tally) {
	t.Rows += other.Rows
	t.Added += other.Added
	t.Present += other.Present
	t.Refused += other.Refused
	t.Ended += other.Ended
}

// Problem is an error or a warning about a row. A row with only warnings is
// imported.
type Problem struct {
	Row     int    `json:"row"`
	Model   string `json:"model"`
	PK      string `json:"pk,omitempty"` // never a token's: it is the token
	Text    string `json:"problem"`
	Warning bool   `json:"warning,omitempty"`
}

// ImportReport is the result of a pass over a dump.
type ImportReport struct {
	Users    Tally          `json:"users"`
	Groups   Tally          `json:"groups"`
	Tokens   Tally          `json:"tokens"`
	Factors  Tally          `json:"factors"`
	Codes    Tally          `json:"recovery_codes"`
	Linked   Tally          `json:"identities"`
	LeftOut  map[string]int `json:"left_out,omitempty"` // rows of other models, and apps that can't be a factor
	Problems []Problem      `json:"problems"`
	More     int            `json:"more_problems,omitempty"`

	// RefusedRows are all rows that can't be imported or are left out although of a
	// model that is imported, sorted. The phases after the check must not get those of
	// the check: of rows that exclude each other they import any.
	RefusedRows []int `json:"refused_rows,omitempty"`
}

// Merge adds the counts and problems of another phase.
func (r *ImportReport) Merge(other *ImportReport) {
	r.Users.add(other.Users)
	r.Groups.add(other.Groups)
	r.Tokens.add(other.Tokens)
	r.Factors.add(other.Factors)
	r.Linked.add(other.Linked)
	r.Codes.add(other.Codes)
	r.RefusedRows = slices.Sorted(slices.Values(append(r.RefusedRows, other.RefusedRows...)))
	r.Problems = append(r.Problems, other.Problems...)
	r.More += other.More
}

// Refused reports whether there are rows that can't be imported.
func (r *ImportReport) Refused() int {
	return r.Users.Refused + r.Groups.Refused + r.Tokens.Refused + r.Factors.Refused + r.Linked.Refused + r.Codes.Refused
}

// ImportOptions say how a dump is read.
type ImportOptions struct {
	Model string // of users; default: DefaultModel
	Phase Phase
	MFA   bool // accounts may have second factors

	Providers []Provider // of the realm
}

// importer reads a dump into the accounts of a realm.
type importer struct {
	accounts *account.Service
	options  ImportOptions
	model    string // of users

	// What rows refer to by their ids in Django. The reader of the rows adds to
	// it while workers look names up.
	names        sync.RWMutex
	contentTypes map[uint64][2]string // app label, model
	permissions  map[uint64]string
	groups       map[uint64]string
	stored       map[uint64]string // groups of the store
	storedNames  map[string]bool
	noted        map[string]bool            // names of groups that were imported
	codeDevices  map[uint64]json.RawMessage // users
	groupRows    map[int]bool               // rows of groups that were read
	usersEnded   bool                       // what refers to users is being read, or nothing any more

	mu      sync.Mutex // guards what follows
	report  ImportReport
	fields  map[string]bool
	unique  uniqueValues
	users   references
	devices map[uint64]device // by the hash of their user
	codes   map[uint64]*codes // by the hash of their user
	linked  map[uint64]int    // identities, and how many a user has, by hash
}

// Import reads a dump.
func Import(ctx context.Context, a *account.Service, r io.Reader, options ImportOptions) (*ImportReport, error) {
	im := &importer{
		accounts: a, options: options, model: strings.ToLower(cmp.Or(options.Model, DefaultModel)),
		contentTypes: make(map[uint64][2]string), permissions: make(map[uint64]string),
		groups: make(map[uint64]string), stored: make(map[uint64]string), storedNames: make(map[string]bool), noted: make(map[string]bool),
		groupRows: make(map[int]bool),
		report:    ImportReport{LeftOut: make(map[string]int), Problems: []Problem{}},
		fields:    make(map[string]bool), devices: make(map[uint64]device), linked: make(map[uint64]int),
		codeDevices: make(map[uint64]json.RawMessage), codes: make(map[uint64]*codes),
	}
	if err := im.loadGroups(ctx); err != nil {
		return nil, err
	}
	if err := im.readAll(ctx, r); err != nil {
		return nil, err
	}
	slices.Sort(im.report.RefusedRows)
	slices.SortStableFunc(im.report.Problems, func(x, y Problem) int { return cmp.Compare(x.Row, y.Row) })
	return &im.report, nil
}

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

// readAll reads the rows, and gives those of the phase to the workers. They work on
// users first, then on what refers to them.
func (im *importer) readAll(ctx context.Context, r io.Reader) error {
	w := newWorkers(ctx)
	err := ReadRows(r, func(row *Row) error {
		if !im.wanted(row) {
			return im.note(ctx, row)
		}
		if RefersToUser(row.Model) && !im.usersEnded {
			if err := w.wait(); err != nil {
				return err
			}
			im.endUsers()
			w = newWorkers(ctx)
		}
		if row.Model == im.model && im.usersEnded {
			return fmt.Errorf("row %d: a user comes after what refers to one: send users first", row.Number)
		}
		return w.do(func(ctx context.Context) error { return im.work(ctx, row) })
	})
	err = cmp.Or(err, w.wait(), context.Cause(ctx))
	if !im.usersEnded {
		im.endUsers()
	}
	im.endTokens()
	im.endDevices()
	return cmp.Or(err, im.endCodes(ctx))
}

// workers work on many rows at once, until one fails.
type workers struct {
	group *errgroup.Group
	ctx   context.Context
}

func newWorkers(ctx context.Context) *workers {
	w := new(workers)
	w.group, w.ctx = errgroup.WithContext(ctx)
	w.group.SetLimit(importWorkers)
	return w
}

func (w *workers) do(work func(context.Context) error) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	w.group.Go(func() error { return work(w.ctx) })
	return nil
}

func (w *workers) wait() error { return w.group.Wait() }

// RefersToUser reports whether rows of a model are imported after the users that they refer
// to.
func RefersToUser(model string) bool {
	return model == TokenModel || model == DeviceModel || model == IdentityModel || model == CodeModel
}

func (im *importer) wanted(row *Row) bool {
	return row.Model == im.model || RefersToUser(row.Model) && im.options.Phase != PhaseUsers
}

func (im *importer) work(ctx context.Context, row *Row) error {
	switch {
	case row.Model == TokenModel:
		return im.token(ctx, row)
	case row.Model == DeviceModel:
		return im.device(ctx, row)
	case row.Model == IdentityModel:
		return im.identity(ctx, row)
	case row.Model == CodeModel:
		return im.code(ctx, row)
	case im.options.Phase == PhaseTokens:
		return im.owner(ctx, row)
	}
	return im.user(ctx, row)
}

func (im *importer) problem(row *Row, warning bool, format string, args ...any) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.list(Problem{Row: row.Number, Model: row.Model, PK: row.name(), Text: fmt.Sprintf(format, args...), Warning: warning})
}

func (im *importer) list(p Problem) {
	if len(im.report.Problems) == maxProblems {
		im.report.More++
		return
	}
	im.report.Problems = append(im.report.Problems, p)
}

// name is the row's primary key for a message; that of a token is a secret.
func (r *Row) name() string {
	if r.Model == TokenModel || IsNull(r.PK) || len(r.PK) > 40 {
		return ""
	}
	return string(r.PK)
}

func (im *importer) refuse(row *Row, format string, args ...any) error {
	im.problem(row, false, format, args...)
	im.mu.Lock()
	im.report.RefusedRows = append(im.report.RefusedRows, row.Number)
	im.mu.Unlock()
	return im.count(row, Tally{Rows: 1, Refused: 1})
}

func (im *importer) count(row *Row, t Tally) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	switch row.Model {
	case TokenModel:
		im.report.Tokens.add(t)
	case DeviceModel:
		im.report.Factors.add(t)
	case IdentityModel:
		im.report.Linked.add(t)
	case CodeModel:
		im.report.Codes.add(t)
	case "auth.group":
		if im.options.Phase != PhaseTokens { // here only their names are read
			im.report.Groups.add(t)
		}
	default:
		im.report.Users.add(t)
	}
	return nil
}

// note reads a row that is neither a user nor refers to one.
func (im *importer) note(ctx context.Context, row *Row) error {
	switch row.Model {
	case "contenttypes.contenttype":
		return im.noteContentType(row)
	case "auth.permission":
		return im.notePermission(row)
	case "auth.group":
		return im.group(ctx, row)
	case codeDeviceModel:
		return im.noteCodeDevice(row)
	case im.model, TokenModel, DeviceModel, IdentityModel, CodeModel:
		return nil
	}
	im.mu.Lock()
	im.report.LeftOut[row.Model]++
	first := im.report.LeftOut[row.Model] == 1
	im.mu.Unlock()
	if _, ok := row.Fields["last_login"]; first && ok && im.options.Phase == PhaseCheck {
		im.problem(row, true, "rows of this model look like users, and are left out: the model to import is %s", im.model)
	}
	return nil
}

func (im *importer) noteContentType(row *Row) error {
	id, err := row.id()
	app, appErr := row.text("app_label")
	model, modelErr := row.text("model")
	if err == nil && appErr == nil && modelErr == nil && id != 0 {
		im.contentTypes[id] = [2]string{app, model} // no lock: the workers don't use it
	}
	return nil
}

func (im *importer) notePermission(row *Row) error {
	id, err := row.id()
	codename, nameErr := row.text("codename")
	if err != nil || nameErr != nil || id == 0 {
		return nil
	}
	raw := row.Fields["content_type"]
	natural := naturalKey(raw, 2)
	if natural == nil {
		of, err := parseID(raw)
		if t, ok := im.contentTypes[of]; err == nil && ok {
			natural = t[:]
		}
	}
	if natural != nil {
		im.names.Lock()
		defer im.names.Unlock()
		im.permissions[id] = permissionName([]string{codename, natural[0], natural[1]})
	}
	return nil
}

// permissionsOf returns the names of the permissions in a field.
func (im *importer) permissionsOf(row *Row, field string) ([]string, error) {
	keys, err := row.keys(field)
	if err != nil {
		return nil, err
	}
	im.names.RLock()
	defer im.names.RUnlock()
	var names []string
	for _, key := range keys {
		if natural := naturalKey(key, 3); natural != nil {
			names = append(names, permissionName(natural))
			continue
		}
		id, err := parseID(key)
		if err != nil {
			return nil, fmt.Errorf("%s has a permission that is neither an id nor a natural key", field)
		}
		names = append(names, cmp.Or(im.permissions[id], strconv.FormatUint(id, 10)))
	}
	return names, nil
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

// maxImportedID is the largest id of an imported account. One row with the
// largest possible id would leave none for new accounts.
const maxImportedID = model.MaxID >> 1

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
