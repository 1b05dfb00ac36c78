package request

import (
	"net/http"
	"strconv"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddyserver/caddy/v2"
)

// SetUser sets {http.auth.user.id}, the user_id of the access log. An account without an id,
// which is none, sets nothing.
func SetUser(r *http.Request, acc *account.Account) {
	if acc.ID == 0 { // registered quietly
		return
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.auth.user.id", strconv.FormatUint(acc.ID, 10))
	}
}
