package gate

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/cors"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// writerForPages returns the ResponseWriter behind the gate for a page of another
// origin. It adds the CORS headers of the realm if the back end sets none. Other
// requests keep their writer.
func writerForPages(c *cors.Origins, w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	c.Vary(w.Header(), r)
	if cors.Preflight(r) || !c.Takes(r) {
		return w
	}
	return &pageWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, cors: c, r: r}
}

// pageWriter adds CORS headers at the first write, unless the back end has set its own.
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

// completeForPages adds the headers to a response that is not yet written.
func completeForPages(w http.ResponseWriter) {
	if p, ok := w.(*pageWriter); ok {
		p.complete()
	}
}

// askPreflight passes a preflight to the back end, and answers itself if the back end's
// response has no CORS headers. It shows nothing else of that response, since anybody
// can send a preflight without a token, and some back ends answer OPTIONS like GET.
func askPreflight(c *cors.Origins, w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	p := &preflightWriter{ResponseWriter: w, header: w.Header().Clone()}
	err := next.ServeHTTP(p, r)
	if p.passed {
		return err
	}
	// Ignore an error too: the request itself will get it.
	c.Allow(w.Header(), r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// keepPreflight removes what no browser sends with a preflight: credentials, a body,
// and headers with which a back end could read another request.
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

// preflightWriter passes on the status and the CORS headers of a response, and drops the
// rest. It can't flush or hijack.
type preflightWriter struct {
	http.ResponseWriter
	header  http.Header // of the back end's response
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
