package djoser

import (
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// proxies are the servers of the configuration that were looked at for whom they
// believe.
type proxies struct{ seen []*caddyhttp.Server }

// check warns of a server whose clients can choose their address. Limits, the
// audit log and the addresses that an owner is known by depend on it.
func (p *proxies) check(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || slices.Contains(p.seen, server) {
		return
	}
	p.seen = append(p.seen, server)
	if believesClients(server) {
		ctx.Logger().Warn("trusted_proxies without trusted_proxies_strict: clients can choose the address that they are known by, "+
			"since most proxies append to X-Forwarded-For and the first address is taken; add the line trusted_proxies_strict to the global options, in 'servers'",
			zap.Strings("listen", server.Listen))
	}
}

// believesClients tells whether a server takes the first address of a header,
// which the client wrote, from a proxy that it trusts. Caddy has no other word
// on the proxies by now than a field of its own.
func believesClients(server *caddyhttp.Server) bool {
	if server.TrustedProxiesStrict > 0 {
		return false
	}
	ranges := reflect.ValueOf(server).Elem().FieldByName("trustedProxies")
	return server.TrustedProxiesUnix || ranges.Kind() == reflect.Interface && !ranges.IsNil()
}
