package account

import (
	"errors"

	"github.com/caddy-djoser/djoser/password"
)

// Event is a request to an account, and its outcome.
type Event struct {
	Action  string   // what was requested, such as login; admin_… by an administrator
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

// ErrRefused matches, by errors.Is, every error that an invalid request caused.
var ErrRefused = errors.New("refused")

// Request is a request of an account's owner. Only Do makes one, so that none is served
// that isn't counted and reported.
type Request struct {
	accounts *Service
	event    Event // to report, with what the methods learned
}

// Do serves a request of an account's owner: it counts the request for the networks of
// the client, calls do unless that is too many, and reports the event. The event has
// the action, the name and the client, and the account of the request's token, if any.
// The error is do's, or *TooSoonError.
func (a *Service) Do(e Event, do func(*Request) error) error {
	r := &Request{a, e}
	r.event.By = "owner"
	err := a.allow(e.Action, e.Client, e.Account)
	if err == nil {
		err = do(r)
	}
	if outcome := outcomeOf(err); r.event.Outcome == "" || outcome != OutcomeRefused {
		r.event.Outcome = outcome
	}
	a.Reporter.Report(r.event)
	return err
}

// outcomeOf returns the outcome for an error.
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
