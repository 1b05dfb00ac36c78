package postgres

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// hosts are the hosts of a URL. One that hangs, such as a primary whose machine is off, must not
// use up the time for the others, nor hold up each new connection: so the follower gives each
// some time, and all connections go to the host that it found.
type hosts struct {
	all   [][]*pgconn.FallbackConfig // ways to each host, such as with TLS and without
	first *atomic.Int64              // the host to try first
}

func newHosts(c *pgx.ConnConfig) hosts {
	h := hosts{first: new(atomic.Int64)}
	ways := append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...)
	for i, way := range ways {
		if i == 0 || way.Host != ways[i-1].Host || way.Port != ways[i-1].Port {
			h.all = append(h.all, nil)
		}
		last := len(h.all) - 1
		h.all[last] = append(h.all[last], way)
	}
	return h
}

// connect connects to the first host that is as the URL wants it.
func (h hosts) connect(ctx context.Context, c *pgx.ConnConfig) (*pgx.Conn, error) {
	var failures []error
	for i, before := 0, int(h.first.Load()); i < len(h.all); i++ {
		host := (before + i) % len(h.all)
		setWays(c, h.all[host])
		ctx, cancel := context.WithTimeout(ctx, pollTimeout)
		conn, err := pgx.ConnectConfig(ctx, c)
		cancel()
		if err == nil {
			h.first.Store(int64(host))
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

// putInOrder puts the host that was found last before the others.
func (h hosts) putInOrder(c *pgx.ConnConfig) {
	first := int(h.first.Load())
	var ways []*pgconn.FallbackConfig
	for i := range h.all {
		ways = append(ways, h.all[(first+i)%len(h.all)]...)
	}
	setWays(c, ways)
}

func setWays(c *pgx.ConnConfig, ways []*pgconn.FallbackConfig) {
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = ways[0].Host, ways[0].Port, ways[0].TLSConfig, ways[1:]
}
