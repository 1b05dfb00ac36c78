// Package django imports dumps of Django, and exports to them.
package django

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"golang.org/x/sync/errgroup"
)

// DefaultModel is the user model of a Django project without its own, and TokenModel
// that of REST framework's tokens.
const (
	DefaultModel = "auth.user"
	TokenModel   = "authtoken.token"
)

// importWorkers is how many rows are imported at once. The store commits them in
// groups of up to half as many, so that one is prepared while another is written.
const importWorkers = 512

// maxProblems is how many problems of a dump are listed. The rest are counted.
const maxProblems = 100_000

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
		if row.Model == IdentityModel && im.options.Phase == PhaseCheck {
			return im.work(ctx, row) // in order: of two rows with the same log-in, the first one counts
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

// maxImportedID is the largest id of an imported account. One row with the
// largest possible id would leave none for new accounts.
const maxImportedID = model.MaxID >> 1
