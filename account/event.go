package account

import (
	"errors"

	"github.com/caddy-djoser/djoser/password"
)

// Event is something that was asked of an account, and its outcome.
type Event struct {
	Action  string   // what was asked for, such as login; admin_… if by an administrator
	Name    string   // of what happened, such as logged_in
	Outcome string   // ok, or why it didn't happen
	Account *Account // nil: unknown
	By      string   // owner or admin
	Client  Client
}

// Outcomes of an Event.
const (
	OutcomeOK        = "ok"
	OutcomeRefused   = "refused" // the request is invalid
	OutcomeWrong     = "wrong_password"
	OutcomeDisabled  = "inactive"
	OutcomeLink      = "bad_link"
	OutcomeTaken     = "taken"
	OutcomeThrottled = "throttled"
	OutcomeBusy      = "busy"  // too many passwords are being hashed
	OutcomeError     = "error" // of the store
)

// ErrRefused is an error, for errors.Is, that the request is to blame for.
var ErrRefused = errors.New("refused")

// Do serves a request to an account, in whichever form it came: it counts the
// request for the networks of its client, and if these may ask so often, has do
// serve it. Then it reports the event, to which do adds what it learns. who is the
// account that asks, or nil.
func (a *Service) Do(e *Event, who *Account, do func() error) error {
	e.Account, e.By = who, "owner"
	err := a.allow(e.Action, e.Client, who)
	if err == nil {
		err = do()
	}
	if outcome := outcomeOf(err); e.Outcome == "" || outcome != OutcomeRefused {
		e.Outcome = outcome
	}
	a.Reporter.Report(*e)
	return err
}

// outcomeOf puts an error into one word.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return OutcomeOK
	case errors.Is(err, password.ErrBusy):
		return OutcomeBusy
	case errors.As(err, new(*TooSoonError)):
		return OutcomeThrottled
	case errors.As(err, new(*TakenError)):
		return OutcomeTaken
	case errors.Is(err, ErrCredentials), errors.Is(err, ErrPassword):
		return OutcomeWrong
	case errors.Is(err, ErrDisabled):
		return OutcomeDisabled
	case errors.Is(err, ErrLink):
		return OutcomeLink
	case errors.Is(err, ErrRefused), errors.Is(err, ErrNotFound),
		errors.As(err, new(*FieldError)), errors.As(err, new(*NamesError)):
		return OutcomeRefused
	}
	return OutcomeError
}
