package request

import (
	"net/http"
	"strconv"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// SkipLog keeps a request out of the access log: its URL has a secret.
func SkipLog(r *http.Request) { caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true) }

// SetUser sets {http.auth.user.id}, the user_id of the access log. An account without an id,
// which is none, sets nothing.
func SetUser(r *http.Request, acc *model.Account) {
	if acc.ID == 0 { // registered quietly
		return
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.auth.user.id", strconv.FormatUint(acc.ID, 10))
	}
}
