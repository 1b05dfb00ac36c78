package api

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddyserver/caddy/v2"
)

// eventNames are what the endpoints do, by their names. An endpoint that is
// not here is not told of.
var eventNames = map[string]string{
	"me":                     "user_changed",
	"register":               "user_registered",
	"login":                  "logged_in",
	"logout":                 "logged_out",
	"logout_all":             "logged_out_everywhere",
	"tokens":                 "token_ended",
	"activate":               "user_activated",
	"activate_resend":        "activation_requested",
	"username":               "username_changed",
	"password":               "password_changed",
	"password_reset":         "password_reset_requested",
	"password_reset_confirm": "password_reset",
}

// report tells of a request to an endpoint that wanted something done.
func (c *call) report(err error) {
	if c.Method == http.MethodGet || c.Method == http.MethodHead {
		return
	}
	d := account.Event{
		Action: c.endpoint.name, Name: cmp.Or(c.event, eventNames[c.endpoint.name]), Outcome: outcomeOf(err),
		Account: c.subject, By: "owner", Client: c.client(),
	}
	if c.wrongPassword && d.Outcome == account.OutcomeRefused {
		d.Outcome = account.OutcomeWrong
	}
	c.api.Report(d)
}

// setSubject notes that the request is by the owner of the account, of whom
// {http.auth.user.id} is the user_id of the access log.
func (c *call) setSubject(acc *account.Account) {
	c.subject = acc
	if repl, ok := c.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.auth.user.id", strconv.FormatUint(acc.ID, 10))
	}
}

// outcomeOf puts what came of a request into one word.
func outcomeOf(err error) string {
	api := new(drf.Error)
	switch {
	case err == nil:
		return account.OutcomeOK
	case errors.Is(err, password.ErrBusy):
		return account.OutcomeBusy
	case !errors.As(err, &api):
		return account.OutcomeError
	case api.Status == http.StatusTooManyRequests:
		return account.OutcomeThrottled
	case api.Outcome != "":
		return api.Outcome
	}
	return account.OutcomeRefused
}
