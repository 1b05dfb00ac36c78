package gate

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Early tells whether a request that may change something has come before its
// client has shown to be there: in the early data of a connection, which whoever has
// seen it can send again. A proxy that is trusted says so by a header, of whatever
// value. Source: RFC 8470, 3 and 5.1.
func Early(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		return true
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted && r.Header["Early-Data"] != nil
}
