// Command caddy is Caddy with the djoser module compiled in, for development
// and the quick start. For production, build with xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-djoser/djoser"
)

func main() { caddycmd.Main() }
