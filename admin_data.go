package djoser

import (
	"context"
	"errors"
	"os"

	"github.com/caddy-djoser/djoser/internal/atomicfile"
)

// adminStats is the state of a realm.
type adminStats struct {
	Realm       string `json:"realm"`
	Store       string `json:"store"` // where it is
	Accounts    uint64 `json:"accounts"`
	Tokens      uint64 `json:"tokens"`
	Mails       uint64 `json:"mails"`
	Bytes       int64  `json:"bytes"`
	CacheHits   uint64 `json:"cache_hits"`
	CacheMisses uint64 `json:"cache_misses"`
}

func (m *adminRequest) stats() (any, error) {
	s, err := m.accounts.store.Stats(m.r.Context())
	if err != nil {
		return nil, err
	}
	return &adminStats{
		Realm: m.realm.name, Store: m.realm.location,
		Accounts: s.Accounts, Tokens: s.Tokens, Mails: s.Mails, Bytes: s.Bytes,
		CacheHits: m.realm.cacheHits(), CacheMisses: m.realm.cacheMisses(),
	}, nil
}

// importDump takes the parameters phase (check, users or tokens) and model.
// The body is one or more arrays of rows; groups, permissions and content
// types must come before the rows that refer to them by id, and the rows of
// users must be with the tokens: they tell whose these are. A row may say its
// number in a file as "row".
func (m *adminRequest) importDump() (any, error) {
	query := m.r.URL.Query()
	phase := importPhase(query.Get("phase"))
	if phase != phaseCheck && phase != phaseUsers && phase != phaseTokens {
		return nil, badRequest("phase is check, users or tokens, to be done in this order")
	}
	m.noDeadline()
	report, err := importDjango(m.r.Context(), m.accounts, m.r.Body, query.Get("model"), phase)
	if err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrClosed) {
		return nil, badRequest("%v", err)
	}
	return report, err
}

// fileBody is the body of a request that writes a file of the server.
type fileBody struct {
	File  string `json:"file"`  // absolute path
	Model string `json:"model"` // of an export; default: auth.user
}

func (m *adminRequest) exportDump() (any, error) {
	var body fileBody
	if err := m.body(&body); err != nil {
		return nil, err
	}
	m.noDeadline()
	var report *importReport
	err := atomicfile.Create(body.File, func(f *os.File) (err error) {
		report, err = exportDjango(m.r.Context(), m.accounts, f, body.Model)
		return err
	})
	if err != nil {
		return nil, fileProblem(err)
	}
	return map[string]any{"file": body.File, "users": report.Users.Rows, "groups": report.Groups.Rows}, nil
}

// fileProblem is an error of a file that a request named.
func fileProblem(err error) error {
	if errors.Is(err, ErrFull) || errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled) {
		return err
	}
	return badRequest("%v", err)
}

// adminBackup is what a backup holds.
type adminBackup struct {
	File     string `json:"file"`
	Bytes    int64  `json:"bytes"`
	Accounts uint64 `json:"accounts"`
	Tokens   uint64 `json:"tokens"`
	Mails    uint64 `json:"mails"`
}

func (m *adminRequest) backup() (any, error) {
	var body fileBody
	if err := m.body(&body); err != nil {
		return nil, err
	}
	s, err := backupStore(m.accounts.store)
	if err != nil {
		return nil, err
	}
	m.noDeadline()
	stats, err := writeBackup(m.r.Context(), s, body.File)
	if err != nil {
		return nil, fileProblem(err)
	}
	return &adminBackup{body.File, stats.Bytes, stats.Accounts, stats.Tokens, stats.Mails}, nil
}

func (m *adminRequest) check() (any, error) {
	s, err := backupStore(m.accounts.store)
	if err != nil {
		return nil, err
	}
	m.noDeadline()
	return checkStore(m.r.Context(), s, m.accounts.model)
}
