package djoser

import (
	"context"
	"errors"
	"os"

	"github.com/caddy-djoser/djoser/internal/atomicfile"
)

// importDump takes the parameters phase (check, users or tokens) and model.
// The body is one or more arrays of rows; groups, permissions and content
// types must come before the rows that refer to them by id, and the rows of
// users must be with the tokens: they tell whose these are. A row may say its
// number in a file as "row".
func (m *manager) importDump() (any, error) {
	query := m.r.URL.Query()
	phase := importPhase(query.Get("phase"))
	if phase != phaseCheck && phase != phaseUsers && phase != phaseTokens {
		return nil, badRequest("phase is check, users or tokens, to be done in this order")
	}
	m.patient()
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

func (m *manager) exportDump() (any, error) {
	var body fileBody
	if err := m.body(&body); err != nil {
		return nil, err
	}
	m.patient()
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

func (m *manager) backup() (any, error) {
	var body fileBody
	if err := m.body(&body); err != nil {
		return nil, err
	}
	s, err := backupStore(m.accounts.store)
	if err != nil {
		return nil, err
	}
	m.patient()
	stats, err := writeBackup(m.r.Context(), s, body.File)
	if err != nil {
		return nil, fileProblem(err)
	}
	return &adminBackup{body.File, stats.Bytes, stats.Accounts, stats.Tokens, stats.Mails}, nil
}

func (m *manager) check() (any, error) {
	s, err := backupStore(m.accounts.store)
	if err != nil {
		return nil, err
	}
	m.patient()
	return checkStore(m.r.Context(), s, m.realm.model)
}
