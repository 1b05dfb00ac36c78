package djoser

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/gate"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// hangingStore is the Badger store. A test can make its reads hang.
type hangingStore struct {
	badger.Store
}

// the only token that is answered; nil: all
var answered atomic.Pointer[model.Digest]

func init() { caddy.RegisterModule(hangingStore{}) }

func (hangingStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser.stores.hanging", New: func() caddy.Module { return new(hangingStore) }}
}

func (s *hangingStore) Open(ctx context.Context, location string, log *zap.Logger) (model.Store, error) {
	store, err := s.Store.Open(ctx, location, log)
	return hangingReads{store}, err
}

type hangingReads struct{ model.Store }

func (s hangingReads) Token(ctx context.Context, d model.Digest) (*model.Token, *model.Account, error) {
	if only := answered.Load(); only != nil && *only != d {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	return s.Store.Token(ctx, d)
}

func TestALongConnectionEndsEvenIfTheStoreHangs(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	t.Cleanup(func() { answered.Store(nil) })
	s := serve(t, "djoser /auth/* {\ncache off\n"+strings.Replace(required, "store badger", "store hanging", 1)+"\n}\ndjoser_auth /api/*\nreverse_proxy /api/* "+streamBackEnd(t))
	stream := func(token string) net.Conn {
		conn := s.open("/api/", token, "")
		t.Cleanup(func() { conn.Close() })
		if first, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(first, "HTTP/1.1 200") {
			t.Fatalf("%q, %v", first, err)
		}
		return conn
	}
	other := s.Register("bob", "secret")
	var streams []net.Conn
	for range 3 * gate.Watchers {
		streams = append(streams, stream(other))
	}
	token := s.Register("alice", "secret")
	streams = append(streams, stream(token))
	s.Post("/auth/logout", token).Want(t, 200)
	digest, _ := model.DigestOf(token)
	answered.Store(&digest)
	// This one has ended; the others are unknown. The time is a limit, not a measurement.
	bound := time.Now().Add(30 * time.Second)
	for i, conn := range streams {
		_ = conn.SetReadDeadline(bound)
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("stream %d goes on: %v", i, err)
		}
	}
}
