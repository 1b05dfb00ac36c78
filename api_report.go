package djoser

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"

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
	d := deed{
		action: c.endpoint.name, event: cmp.Or(c.event, eventNames[c.endpoint.name]), outcome: outcomeOf(err),
		account: c.subject, by: "owner", client: c.client(),
	}
	if c.wrongPassword && d.outcome == outcomeRefused {
		d.outcome = outcomeWrong
	}
	c.api.report(d)
}

// setSubject notes that the request is by the owner of the account, of whom
// {http.auth.user.id} is the user_id of the access log.
func (c *call) setSubject(acc *Account) {
	c.subject = acc
	if repl, ok := c.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.auth.user.id", strconv.FormatUint(acc.ID, 10))
	}
}

// outcomeOf puts what came of a request into one word.
func outcomeOf(err error) string {
	api := new(apiError)
	switch {
	case err == nil:
		return outcomeOK
	case errors.Is(err, password.ErrBusy):
		return outcomeBusy
	case !errors.As(err, &api):
		return outcomeError
	case api.status == http.StatusTooManyRequests:
		return outcomeThrottled
	case api.outcome != "":
		return api.outcome
	}
	return outcomeRefused
}
