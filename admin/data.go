package admin

import (
	"context"
	"errors"
	"os"

	"github.com/caddy-djoser/djoser/django"
	"github.com/caddy-djoser/djoser/internal/atomicfile"
	"github.com/caddy-djoser/djoser/model"
)

// realmStats is how much a realm holds.
type realmStats struct {
	Realm       string `json:"realm"`
	Store       string `json:"store"` // where it is
	Accounts    uint64 `json:"accounts"`
	Tokens      uint64 `json:"tokens"`
	Mails       uint64 `json:"mails"`
	Bytes       int64  `json:"bytes"`
	CacheHits   uint64 `json:"cache_hits"`
	CacheMisses uint64 `json:"cache_misses"`
}

func (m *request) stats() (any, error) {
	s, err := m.accounts.Store.Stats(m.r.Context())
	if err != nil {
		return nil, err
	}
	return &realmStats{
		Realm: m.realm.Name, Store: m.realm.Location,
		Accounts: s.Accounts, Tokens: s.Tokens, Mails: s.Mails, Bytes: s.Bytes,
		CacheHits: m.realm.CacheHits(), CacheMisses: m.realm.CacheMisses(),
	}, nil
}

// importDump takes the parameters phase (check, users or tokens) and model. The body is
// one or more arrays of rows. A row must come after the rows that it refers to: content
// types, permissions, groups, users, tokens and apps. Users must be sent with their tokens
// and apps. The phases users and tokens must not be sent the rows that the check refused or
// left out. A row may give its number in the file as "row".
func (m *request) importDump() (any, error) {
	query := m.r.URL.Query()
	phase := django.Phase(query.Get("phase"))
	if phase != django.PhaseCheck && phase != django.PhaseUsers && phase != django.PhaseTokens {
		return nil, badRequest("phase must be check, users or tokens; do them in this order")
	}
	defer m.longWork()()
	report, err := django.Import(m.r.Context(), m.accounts, m.r.Body, django.ImportOptions{Model: query.Get("model"), Phase: phase, MFA: m.realm.MFA, Providers: m.realm.Providers})
	if err != nil && !errors.Is(err, model.ErrFull) && !errors.Is(err, model.ErrUnavailable) {
		return nil, badRequest("%v", err)
	}
	return report, err
}

// fileBody is the body of a request that writes a file of the server.
type fileBody struct {
	File  string `json:"file"`  // absolute path
	Model string `json:"model"` // of an export; default: auth.user
}

func (m *request) exportDump() (any, error) {
	var body fileBody
	if err := m.body(&body); err != nil {
		return nil, err
	}
	defer m.longWork()()
	var report *django.ImportReport
	err := atomicfile.Create(body.File, func(f *os.File) (err error) {
		report, err = django.Export(m.r.Context(), m.accounts, f, body.Model)
		return err
	})
	if err != nil {
		return nil, fileProblem(err)
	}
	return map[string]any{"file": body.File, "users": report.Users.Rows, "groups": report.Groups.Rows}, nil
}

// fileProblem is the answer to a failure to write the file of a request.
func fileProblem(err error) error {
	if errors.Is(err, model.ErrFull) || errors.Is(err, model.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return err
	}
	return badRequest("%v", err)
}

// backupView describes a backup.
type backupView struct {
	File     string `json:"file"`
	Bytes    int64  `json:"bytes"`
	Accounts uint64 `json:"accounts"`
	Tokens   uint64 `json:"tokens"`
	Mails    uint64 `json:"mails"`
}

func (m *request) backup() (any, error) {
	var body fileBody
	if err := m.body(&body); err != nil {
		return nil, err
	}
	s, err := backupStore(m.accounts.Store)
	if err != nil {
		return nil, err
	}
	defer m.longWork()()
	stats, err := writeBackup(m.r.Context(), s, body.File)
	if err != nil {
		return nil, fileProblem(err)
	}
	return &backupView{body.File, stats.Bytes, stats.Accounts, stats.Tokens, stats.Mails}, nil
}

func (m *request) check() (any, error) {
	s, err := backupStore(m.accounts.Store)
	if err != nil {
		return nil, err
	}
	defer m.longWork()()
	return checkStore(m.r.Context(), s, m.accounts.Model)
}
