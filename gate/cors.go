package gate

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// writerForPages is the ResponseWriter behind the gate for a page of another origin: what
// the back end doesn't say about other origins the realm's cors does. Other requests
// have their own.
func writerForPages(c *cors.Origins, w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	c.Vary(w.Header(), r)
	if cors.Preflight(r) || !c.Takes(r) {
		return w
	}
	return &pageWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, cors: c, r: r}
}

// pageWriter adds the headers for a page of another origin, unless the back end has
// set its own, which is known once it writes.
type pageWriter struct {
	caddyhttp.ResponseWriterWrapper
	cors  *cors.Origins
	r     *http.Request
	wrote bool
}

// complete adds the headers, once.
func (w *pageWriter) complete() {
	if w.wrote {
		return
	}
	w.wrote = true
	if w.Header()["Access-Control-Allow-Origin"] == nil {
		w.cors.Allow(w.Header(), w.r)
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *pageWriter) WriteHeader(status int) {
	if status >= 200 {
		w.complete()
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *pageWriter) Write(b []byte) (int, error) {
	w.complete()
	return w.ResponseWriterWrapper.Write(b)
}

// ReadFrom implements io.ReaderFrom.
func (w *pageWriter) ReadFrom(r io.Reader) (int64, error) {
	w.complete()
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is Flush for http.ResponseController.
func (w *pageWriter) FlushError() error {
	w.complete()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements http.Flusher for what doesn't know http.ResponseController.
func (w *pageWriter) Flush() { _ = w.FlushError() }

// completeForPages adds the headers to an answer that is yet to be made.
func completeForPages(w http.ResponseWriter) {
	if p, ok := w.(*pageWriter); ok {
		p.complete()
	}
}

// askPreflight asks the back end what a page may do, and answers in its place where it
// says nothing about other origins. Nothing else of its answer is shown: whoever
// sends what looks like a preflight needs no token, and many a back end answers
// OPTIONS as it does GET.
func askPreflight(c *cors.Origins, w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	p := &preflightWriter{ResponseWriter: w, header: w.Header().Clone()}
	err := next.ServeHTTP(p, r)
	if p.passed {
		return err
	}
	// An error is an answer that says nothing, too: the request itself will have it.
	c.Allow(w.Header(), r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// keepPreflight keeps a preflight what it is: a question without credentials and
// without a body, which a back end takes for no other request than the OPTIONS that
// the gate let through. No browser sends the headers that it removes.
func keepPreflight(r *http.Request) {
	for name := range r.Header {
		if overridesMethod(name) || slices.Contains(notInPreflights, name) {
			delete(r.Header, name)
		}
	}
	r.Body, r.ContentLength, r.TransferEncoding, r.Trailer = http.NoBody, 0, nil, nil
}

var notInPreflights = []string{
	"Upgrade", "Authorization", "Cookie", "Expect", "Trailer",
	"Content-Encoding", "Content-Length", "Content-Type",
}

// preflightWriter passes on what an answer says about other origins, with its
// status, and drops the rest. It is no more than a ResponseWriter: nothing flushes a
// preflight, or takes its connection over.
type preflightWriter struct {
	http.ResponseWriter
	header  http.Header // of the back end's answer
	decided bool
	passed  bool
}

// Header implements http.ResponseWriter.
func (w *preflightWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *preflightWriter) WriteHeader(status int) {
	if w.decided || status < 200 {
		return
	}
	w.decided = true
	if w.header["Access-Control-Allow-Origin"] == nil {
		return
	}
	w.passed = true
	for name, values := range w.header {
		if name == "Vary" || strings.HasPrefix(name, "Access-Control-") {
			w.ResponseWriter.Header()[name] = values
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *preflightWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(b), nil
}

// Interface guards
var (
	_ http.Flusher  = (*pageWriter)(nil)
	_ io.ReaderFrom = (*pageWriter)(nil)
)
