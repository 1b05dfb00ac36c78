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

// gatedWriter is the ResponseWriter behind the gate. It sets Cache-Control, so that
// shared caches don't serve the response to others, and ends the request when its
// token has ended.
type gatedWriter struct {
	caddyhttp.ResponseWriterWrapper
	wrote bool

	ctx    context.Context    // of the request, before the gate
	cancel context.CancelFunc // ends it; nil: the connection has to end
	ended  atomic.Bool        // writes fail from now on

	mu   sync.Mutex // guards what follows
	over bool
	conn net.Conn // of an upgraded connection

	gate       *Gate
	caller     *caller
	unsure     bool         // the store failed at the last look; for watch only
	prev, next *gatedWriter // in the list of watch; guarded by watch.mu
	seen       bool         // the watch has looked at it; guarded by watch.mu
}

// newGatedWriter returns the ResponseWriter for the handlers behind the gate. Over
// HTTP/2 and HTTP/3 the request gets a context of its own to cancel, since a deadline
// doesn't end every stream: a silent one of HTTP/3 goes on. So does a request without
// a connection, as httpInclude makes it, which has no body or RequestURI. The request
// is changed in place, until restore, since Caddy's placeholders read this one.
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

// restore restores the request's context for handlers around the gate, such as
// handle_errors.
func (w *gatedWriter) restore(r *http.Request) {
	if w.cancel != nil {
		*r = *r.WithContext(w.ctx)
	}
}

// WriteHeader implements http.ResponseWriter. It sets Cache-Control unless the back
// end has.
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

// errEnded is the error of writes after the end of the token.
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

// ReadFrom implements io.ReaderFrom, so that the kernel can still send files. It
// sends them in parts, between which the token may end.
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

// readPart is the number of bytes that ReadFrom sends at a time.
const readPart = 1 << 20

// FlushError is Flush for http.ResponseController. It returns an error if the client
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

// Flush implements http.Flusher, for handlers without http.ResponseController.
func (w *gatedWriter) Flush() { _ = w.FlushError() }

// Hijack implements http.Hijacker. It keeps the connection, to end it.
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

// stop ends a request in progress.
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

// cut ends a request while its handler runs. It cancels the context, for the back end,
// and sets a write deadline, for a handler that waits for a slow client. The deadline
// is set on the server's own writer, since Caddy's is for the handler's goroutine
// only. A handler that ignores the context, such as FastCGI's, may go on; over
// HTTP/1.1 the client's connection ends.
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

// connection is a connection of HTTP/1.1, which has one request at a time. Its handler
// may not notice its end: nobody reads while a body waits, or after a byte of the
// next request.
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

// keepConnections adds the connections of a server to the contexts of their requests.
// A context per connection costs less than one per request.
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

// innermost returns the server's ResponseWriter below those of handlers.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// finish disables stop, since a ResponseWriter must not be used after its handler has
// returned.
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
	// watchEvery is how often requests in progress are checked again.
	watchEvery = 4 * time.Second

	// watchFor is how long such a round may take.
	watchFor = time.Second

	// Watchers is how many requests are checked at once, so that a slow one doesn't
	// hold up the others.
	Watchers = 8
)

// watch checks from time to time whether requests in progress may go on. They share
// one timer, since almost no request lives that long, and a list without allocations.
type watch struct {
	mu      sync.Mutex // guards the fields below
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

// end stops watching a request. Its ResponseWriter isn't used after that. Most requests
// were never checked.
func (t *watch) end(w *gatedWriter) {
	if t.remove(w) {
		w.finish()
	}
	if w.cancel != nil {
		w.cancel()
	}
}

// remove removes a request from the list, and reports whether it was checked.
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
	w.prev, w.next = nil, nil // or a kept one would keep all others
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

// look checks all requests, and ends those that may not go on.
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

// look ends a request that may not go on. If the store fails, it does so the second
// time.
func (w *gatedWriter) look(ctx context.Context) {
	allowed, err := w.gate.stillAllowed(ctx, w.caller)
	if !allowed && (err == nil || w.unsure) {
		w.stop()
	}
	w.unsure = err != nil
}

// current returns the requests in progress. They may end meanwhile.
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
