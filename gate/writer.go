package gate

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/sync/errgroup"
)

// gatedWriter is the ResponseWriter behind the gate. It keeps shared caches
// from answering others with what one account was shown, and can end the request
// when its token has ended.
type gatedWriter struct {
	caddyhttp.ResponseWriterWrapper
	wrote bool

	ctx    context.Context    // of the request, before the gate
	cancel context.CancelFunc // ends it; nil: the connection has to end
	ended  atomic.Bool        // nothing more may be written

	mu   sync.Mutex // guards what follows
	over bool
	conn net.Conn // of an upgraded connection

	gate       *Gate
	caller     *caller
	unsure     bool         // the store couldn't tell when it was last asked; for the watch alone
	prev, next *gatedWriter // among those that are watched; guarded by watch.mu
	seen       bool         // the watch has looked at it; guarded by watch.mu
}

// newGatedWriter makes the ResponseWriter for what comes after the gate. Over
// HTTP/2 and 3 the request gets a context that can be cancelled, since the end of
// a stream's deadline isn't always noticed: in HTTP/3 it ends no silent one. So
// does one that has no connection at all, as httpInclude makes it: only a server
// gives every request a body and a RequestURI. The request is changed in place,
// until restore, since Caddy's placeholders look at this very one.
func newGatedWriter(w http.ResponseWriter, r *http.Request, g *Gate, c *caller) *gatedWriter {
	gated := &c.state.writer
	if c.state.gated() {
		gated = new(gatedWriter)
	}
	gated.ResponseWriter, gated.gate, gated.caller = w, g, c
	gated.ctx = r.Context()
	if r.ProtoMajor > 1 || r.Body == nil || r.RequestURI == "" {
		ctx, cancel := context.WithCancel(gated.ctx)
		gated.cancel = cancel
		*r = *r.WithContext(ctx)
	}
	return gated
}

// restore gives a request its own context back, for what is around the gate, such
// as handle_errors.
func (w *gatedWriter) restore(r *http.Request) {
	if w.cancel != nil {
		*r = *r.WithContext(w.ctx)
	}
}

// WriteHeader implements http.ResponseWriter. Only now is it known whether the
// back end has its own word on caching.
func (w *gatedWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.wrote = true
		w.setCacheControl()
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

func (w *gatedWriter) setCacheControl() {
	if header := w.Header(); header["Cache-Control"] == nil {
		header["Cache-Control"] = privateCache
	}
}

var privateCache = []string{"private, no-store"}

// errEnded is what a handler hears that writes on after the end of the token.
var errEnded = errors.New("the token of the request has ended")

// Write implements http.ResponseWriter.
func (w *gatedWriter) Write(b []byte) (int, error) {
	if w.ended.Load() {
		return 0, errEnded
	}
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriterWrapper.Write(b)
}

// ReadFrom implements io.ReaderFrom, so that files are still sent by the
// kernel: in parts, between which the token may end.
func (w *gatedWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.ended.Load() {
		return 0, errEnded
	}
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: r, N: math.MaxInt64}
	}
	var total int64
	for limited.N > 0 {
		if w.ended.Load() {
			return total, errEnded
		}
		part := &io.LimitedReader{R: limited.R, N: min(limited.N, readPart)}
		size := part.N
		n, err := w.ResponseWriterWrapper.ReadFrom(part)
		total += n
		limited.N -= n
		if err != nil || n < size {
			return total, err
		}
	}
	return total, nil
}

// readPart is how many bytes ReadFrom sends at a time.
const readPart = 1 << 20

// FlushError is Flush for http.ResponseController, which tells of a client that
// is gone.
func (w *gatedWriter) FlushError() error {
	if w.ended.Load() {
		return errEnded
	}
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements http.Flusher for what doesn't know http.ResponseController.
func (w *gatedWriter) Flush() { _ = w.FlushError() }

// Hijack implements http.Hijacker, and remembers the connection.
func (w *gatedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended.Load() {
		conn.Close()
		return nil, nil, errEnded
	}
	w.conn = conn
	return conn, rw, nil
}

// stop ends a request that goes on.
func (w *gatedWriter) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over:
	case w.conn != nil:
		go w.conn.Close() // over TLS it may wait for seconds
	default:
		w.cut()
	}
}

// cut ends a request while its handler is at work, and with its context what the
// back end still does. The deadline for writing frees a handler that waits for
// a slow client. It is set on the server's own writer, since Caddy's, which
// sets deadlines as well, is for the handler's goroutine alone. A handler that
// does not look at the context, as FastCGI's, may go on; over HTTP/1.1 it would
// hold the client's connection, which ends.
func (w *gatedWriter) cut() {
	w.ended.Store(true)
	past := time.Unix(1, 0)
	_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(past)
	_ = http.NewResponseController(innermost(w.ResponseWriter)).SetWriteDeadline(past)
	if w.cancel != nil {
		w.cancel()
	} else if conn, ok := w.ctx.Value(connectionKey{}).(*connection); ok {
		conn.end()
	}
}

// connection is one of HTTP/1.1, which has one request at a time. That its end is
// noticed can't be relied on: nobody reads while a body waits, or after a byte of
// the next request.
type connection struct {
	net.Conn
	cancel context.CancelFunc // ends the contexts of its requests
}

func (c *connection) end() {
	c.cancel()
	go c.Close() // over TLS it may wait for seconds
}

// connectionKey is the key of the connection in the contexts of its requests.
type connectionKey struct{}

// keepConnections puts the connections of a server into the contexts of their
// requests. A context for each connection costs less than one for each request.
func (n *IdentityNames) keepConnections(server *caddyhttp.Server) {
	if slices.Contains(n.servers, server) {
		return
	}
	n.servers = append(n.servers, server)
	server.RegisterConnContext(func(ctx context.Context, conn net.Conn) context.Context {
		ctx, cancel := context.WithCancel(ctx)
		return context.WithValue(ctx, connectionKey{}, &connection{conn, cancel})
	})
}

// innermost is the server's own ResponseWriter under those of handlers.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// finish has stop do nothing any more: a ResponseWriter must not be used once
// its handler has returned.
func (w *gatedWriter) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// Interface guards
var (
	_ http.Flusher  = (*gatedWriter)(nil)
	_ http.Hijacker = (*gatedWriter)(nil)
	_ io.ReaderFrom = (*gatedWriter)(nil)
)

const (
	// watchEvery is how often requests that go on are looked at again.
	watchEvery = 4 * time.Second

	// watchFor is how long the store has for that, for all of them together.
	watchFor = time.Second

	// Watchers are how many are looked at at once, so that one that takes its
	// time doesn't keep the others.
	Watchers = 8
)

// watch looks from time to time whether the requests that are being served may
// go on. All share one timer, since almost no request lives to see it, and are
// in a list that costs them no memory.
type watch struct {
	mu      sync.Mutex // guards what follows
	ticking bool
	first   *gatedWriter
}

// begin starts to watch a request.
func (t *watch) begin(w *gatedWriter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.next = t.first; w.next != nil {
		w.next.prev = w
	}
	t.first = w
	if !t.ticking {
		t.ticking = true
		time.AfterFunc(watchEvery, t.tick)
	}
}

// end stops watching a request, whose ResponseWriter isn't used from here on.
// Most requests were never looked at, and nobody else knows of them.
func (t *watch) end(w *gatedWriter) {
	if t.remove(w) {
		w.finish()
	}
	if w.cancel != nil {
		w.cancel()
	}
}

// remove takes a request out of the list, and tells whether it was looked at.
func (t *watch) remove(w *gatedWriter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.next != nil {
		w.next.prev = w.prev
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		t.first = w.next
	}
	w.prev, w.next = nil, nil // or one that is kept would keep all others
	return w.seen
}

func (t *watch) tick() {
	next := time.Now().Add(watchEvery)
	t.look()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticking = t.first != nil; t.ticking {
		time.AfterFunc(time.Until(next), t.tick)
	}
}

// look looks at all requests, and ends those that may not go on.
func (t *watch) look() {
	ctx, cancel := context.WithTimeout(context.Background(), watchFor)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(Watchers)
	for _, w := range t.current() {
		group.Go(func() error {
			w.look(ctx)
			return nil
		})
	}
	_ = group.Wait() // none has an error
}

// look ends a request that may not go on: at once if that is known, the second
// time if the store can't tell.
func (w *gatedWriter) look(ctx context.Context) {
	allowed, err := w.gate.stillAllowed(ctx, w.caller)
	if !allowed && (err == nil || w.unsure) {
		w.stop()
	}
	w.unsure = err != nil
}

// current are the requests that are being served now. They may end while they
// are looked at.
func (t *watch) current() []*gatedWriter {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*gatedWriter
	for w := t.first; w != nil; w = w.next {
		w.seen = true
		all = append(all, w)
	}
	return all
}
