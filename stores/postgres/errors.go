package postgres

import (
	"errors"
	"fmt"

	"github.com/caddy-djoser/djoser/model"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// answer is an error that answers the caller, unlike one of the database.
type answer struct{ error }

func (a answer) Unwrap() error { return a.error }

// errRace means that another transaction was faster.
var errRace = errors.New("another transaction was faster")

// retryable are the codes of errors after which a transaction is tried again. Source: the
// list of error codes in PostgreSQL's documentation.
var retryable = map[string]bool{
	"40001": true, // serialization_failure
	"40P01": true, // deadlock_detected
	"57P01": true, // admin_shutdown, also of one connection
	"57P02": true, // crash_shutdown
	"57P03": true, // cannot_connect_now: it starts, or stops
	"53300": true, // too_many_connections
	"25006": true, // read_only_sql_transaction: not the primary any more
	"08000": true, // connection_exception
	"08003": true, // connection_does_not_exist
	"08006": true, // connection_failure
	"08P01": true, // protocol_violation: pgbouncer says so when it lost the server
}

// isTransient reports whether trying again may help.
func (s *database) isTransient(err error) bool {
	var (
		of answer
		e  *pgconn.PgError
	)
	switch {
	case errors.As(err, &of), errors.Is(err, puddle.ErrClosedPool):
		return false
	case errors.Is(err, errRace):
		return true
	case errors.As(err, &e):
		if e.Code == "25006" {
			s.pool.Reset() // its connections lead to the old primary
		}
		return retryable[e.Code]
	}
	return true // the connection was lost, or can't be made
}

// explain returns the store's error for one of the database.
func (s *database) explain(err error) error {
	var (
		of answer
		e  *pgconn.PgError
	)
	switch {
	case errors.As(err, &of):
		return of.error
	case errors.Is(err, puddle.ErrClosedPool):
		return model.ErrClosed
	case errors.As(err, &e) && (e.Code == "53100" || e.Code == "53400"): // disk_full, configuration_limit_exceeded
		return fmt.Errorf("%w: %v", model.ErrFull, err)
	}
	return fmt.Errorf("%w: PostgreSQL: %v", model.ErrUnavailable, err)
}

// orNotFound makes the error of a row that isn't there ErrNotFound.
func orNotFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return answer{model.ErrNotFound}
	}
	return err
}

// isDuplicate reports whether a row has a key that another one has.
func isDuplicate(err error) (constraint string, is bool) {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == "23505" {
		return e.ConstraintName, true
	}
	return "", false
}
