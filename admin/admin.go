// Package admin is the admin API, and the 'caddy djoser' commands that use it.
package admin

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/django"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
)

// API manages the realms of the running configuration on Caddy's admin
// endpoint, as JSON:
//
//	GET    /djoser/                                   the realms
//	GET    /djoser/<realm>/stats                      numbers of users, tokens and mails
//	GET    /djoser/<realm>/users                      a page of users
//	POST   /djoser/<realm>/users                      add one
//	GET    /djoser/<realm>/users/<name>               one of them
//	PATCH  /djoser/<realm>/users/<name>               change it
//	DELETE /djoser/<realm>/users/<name>               delete it
//	POST   /djoser/<realm>/users/<name>/password      set its password, or remove it
//	POST   /djoser/<realm>/users/<name>/activate      let it log in
//	POST   /djoser/<realm>/users/<name>/confirm-email mark its address as confirmed
//	POST   /djoser/<realm>/users/<name>/reset-mfa     remove its second factor, end its logins
//	POST   /djoser/<realm>/users/<name>/deactivate    end its logins, allow no new one
//	POST   /djoser/<realm>/users/<name>/send-activation  mail it a link that activates it
//	POST   /djoser/<realm>/users/<name>/send-reset    mail it a link for a new password
//	GET    /djoser/<realm>/users/<name>/tokens        its logins
//	DELETE /djoser/<realm>/users/<name>/tokens        end all of them
//	DELETE /djoser/<realm>/users/<name>/tokens/<id>   end one
//	POST   /djoser/<realm>/import                     import a part of a Django dump
//	POST   /djoser/<realm>/export                     write a Django dump to a file
//	POST   /djoser/<realm>/backup                     write a backup to a file
//	POST   /djoser/<realm>/check                      check every record of the store
//	POST   /djoser/<realm>/free                       free a reserved name
//
// A name is what the user logs in with, escaped as in any URL, or id:<number>.
// No answer contains a password hash, a token or a link. Exports and backups
// do: they are written to a file on the server that only its owner can read.
// A change takes effect with the next request.
//
// Errors are {"error": …} with a status of 400 or above. If members of the
// body are invalid, "fields" has the errors of each.
type API struct{}

// CaddyModule returns the Caddy module information.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.djoser", New: func() caddy.Module { return new(API) }}
}

// Routes implements caddy.AdminRouter.
func (API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/djoser/", Handler: caddy.AdminHandlerFunc(Serve)}}
}

// Realms are the realms of a configuration.
type Realms interface {
	// RealmNames are the names of all realms, sorted.
	RealmNames() []string

	// AdminRealm is the realm with this name. Its store is open.
	AdminRealm(name string) (*Realm, error)
}

// Realm is what the admin API needs of a realm.
type Realm struct {
	Name     string
	Location string // of the store
	Accounts *account.Service

	MaxPassword      int // in characters
	SendsActivations bool
	SendsResets      bool
	SendsMails       bool              // there is a mailer
	MFA              bool              // accounts may have second factors
	Providers        []django.Provider // that people log in with

	// InvitationLink returns the link of an invitation with a code, or what the settings
	// lack for one.
	InvitationLink func(code string) (link, missing string)

	CacheHits   func() uint64
	CacheMisses func() uint64
}

// noSite is the answer while no running configuration uses the module.
const noSite = "no site of this server uses djoser"

// Serve looks up the app for each request, since Caddy keeps the routes after it
// rejects a configuration.
func Serve(w http.ResponseWriter, r *http.Request) error {
	if err := fromPage(w, r); err != nil {
		return respond(w, r, nil, err)
	}
	app, err := caddy.ActiveContext().AppIfConfigured("djoser")
	if err != nil {
		return respond(w, r, nil, NotFound(noSite))
	}
	answer, err := serveRealms(app.(Realms), w, r)
	return respond(w, r, answer, err)
}

var ownPages = http.NewCrossOriginProtection()

// fromPage refuses changes requested by web pages of other origins. A browser on the
// server can reach the admin endpoint, and lets any page post to it. With
// enforce_origin Caddy has checked the origin already, and has set the header.
func fromPage(w http.ResponseWriter, r *http.Request) error {
	if w.Header().Get("Access-Control-Allow-Origin") != "" || ownPages.Check(r) == nil {
		return nil
	}
	return &apiError{status: http.StatusForbidden, Text: "a page of another origin can't change anything here"}
}

// apiError is an error with the status of its answer.
type apiError struct {
	status int
	Text   string `json:"error"`
	Fields any    `json:"fields,omitempty"`
}

func (e *apiError) Error() string { return e.Text }

func badRequest(format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}

// NotFound is an error with status 404.
func NotFound(text string) error {
	return &apiError{status: http.StatusNotFound, Text: text}
}

// asAPIError finds the status of an error.
func asAPIError(err error) *apiError {
	var (
		admin *apiError
		api   *drf.Error
		taken *model.TakenError
		wrong *model.FieldError
		mail  account.ErrMail
		names *model.NamesError
	)
	switch {
	case errors.As(err, &admin):
		return admin
	case errors.As(err, &api):
		return &apiError{api.Status, "the values were refused", api.Body}
	case errors.As(err, &wrong):
		return &apiError{http.StatusBadRequest, "the values were refused", drf.FieldErrors{wrong.Field: wrong.Messages}}
	case errors.As(err, &taken):
		return &apiError{http.StatusConflict, "another user has the same " + taken.Field, nil}
	case errors.As(err, &names):
		return &apiError{http.StatusConflict, names.Error(), nil}
	case errors.As(err, &mail):
		return &apiError{http.StatusConflict, mail.Error(), nil}
	case errors.Is(err, model.ErrNotFound), errors.Is(err, account.ErrNoUser):
		return &apiError{http.StatusNotFound, err.Error(), nil}
	case errors.Is(err, model.ErrConflict), errors.Is(err, account.ErrNotWaiting), errors.Is(err, account.ErrNoInvitations):
		return &apiError{http.StatusConflict, err.Error(), nil}
	case errors.Is(err, model.ErrModel), errors.Is(err, model.ErrUnavailable):
		return &apiError{http.StatusServiceUnavailable, err.Error(), nil}
	case errors.Is(err, model.ErrFull):
		return &apiError{http.StatusInsufficientStorage, err.Error(), nil}
	}
	return &apiError{http.StatusInternalServerError, err.Error(), nil}
}

func respond(w http.ResponseWriter, r *http.Request, answer any, err error) error {
	if err != nil {
		e := asAPIError(err)
		if e.status == http.StatusServiceUnavailable {
			drf.RetryLater(w)
		}
		return drf.WriteJSON(w, r, e.status, e, 0)
	}
	return drf.WriteJSON(w, r, http.StatusOK, answer, 0)
}

// Interface guards
var _ caddy.AdminRouter = (*API)(nil)
