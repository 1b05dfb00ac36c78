package djoser

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// clientAddress is the address of the client as Caddy knows it, behind
// trusted_proxies too.
func clientAddress(r *http.Request) string {
	address, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return address
}

// requestScheme is the scheme of a request as the client sent it. A proxy is
// believed where trusted_proxies says so.
func requestScheme(r *http.Request) string {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	if r.TLS != nil || trusted && r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https"
	}
	return "http"
}
