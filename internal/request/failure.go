package request

import (
	"errors"
	"net/http"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Failure returns an error of the server as Caddy's, for handle_errors and the logs. It
// sets Retry-After if the client should try again.
func Failure(w http.ResponseWriter, r *http.Request, err error) error {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, password.ErrBusy):
		w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, model.ErrModel):
		w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, model.ErrUnavailable):
		drf.RetryLater(w)
		status = http.StatusServiceUnavailable
	case errors.Is(err, model.ErrFull):
		status = http.StatusInsufficientStorage
	case r.Context().Err() != nil:
		status = http.StatusServiceUnavailable
	}
	return caddyhttp.Error(status, err)
}
