package pwned

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// passwordRest is what a server lists for password: the SHA-1 begins with 5BAA6.
const passwordRest = "1E4C9B93F3F0682250B6CF8331B7EE68FD8"

// padding is an answer without a match.
var padding = fmt.Sprintf("%035X:0\r\n%035X:12\r\n", 1, 2)

// ask returns a client of a server that answers as fn does.
func ask(t *testing.T, fn http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(fn)
	t.Cleanup(server.Close)
	return New(server.URL + "/range")
}

func TestTheRangeProtocolIsSpoken(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		padding + passwordRest + ":42\r\n":               true,
		passwordRest + ":1":                              true,
		strings.ToLower(passwordRest) + ":7\n" + padding: true,
		padding + passwordRest + ":0\r\n":                false, // padding
		padding:                                          false,
		"":                                               false,
		strings.Repeat("0", 34) + "1:3\r\n" + passwordRest + ":2": true,
	} {
		var got *http.Request
		c := ask(t, func(w http.ResponseWriter, r *http.Request) {
			got = r
			fmt.Fprint(w, body)
		})
		breached, err := c.Breached("password")
		if err != nil || breached != want {
			t.Errorf("%q: %t, %v", body, breached, err)
		}
		if got.Method != "GET" || got.URL.String() != "/range/5BAA6" || got.Header.Get("Add-Padding") != "true" || got.Header.Get("User-Agent") == "" || got.ContentLength != 0 {
			t.Errorf("%s %s with %v", got.Method, got.URL, got.Header)
		}
	}
}

func TestNobodyKnowsIfTheAnswerIsBad(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		fmt.Fprint(w, passwordRest+":1")
	}))
	t.Cleanup(other.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, fn := range map[string]http.HandlerFunc{
		"an error":          func(w http.ResponseWriter, _ *http.Request) { http.Error(w, passwordRest+":1", 500) },
		"too many requests": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
		},
		"a page":               func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>"+passwordRest+":1</html>") },
		"a page after a match": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, passwordRest+":1\n<html>") },
		"no count":             func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, passwordRest+":\n") },
		"a negative count":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, passwordRest+":-1\n") },
		"a whole hash":         func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "5BAA6"+passwordRest+":1\n") },
		"silence":              func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"silence in the middle": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, passwordRest+":1\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"a broken body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, passwordRest+":1\n")
		},
		"an endless answer": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, padding); err != nil {
					return
				}
			}
		},
		"no HTTP": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				fmt.Fprint(conn, "220 mail.example ESMTP\r\n")
				conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := ask(t, fn)
			if strings.HasPrefix(name, "silence") {
				c.timeout = 50 * time.Millisecond
			}
			wantUnknown(t, c)
			if len(c.kept) > 0 {
				t.Error("the answer is kept")
			}
		})
	}
	wantUnknown(t, New(gone.URL))
	t.Cleanup(func() {
		if elsewhere.Load() > 0 {
			t.Error("a redirect was followed")
		}
	})
}

func wantUnknown(t *testing.T, c *Client) {
	t.Helper()
	breached, err := c.Breached("password")
	if err == nil || breached {
		t.Errorf("%t, %v", breached, err)
	}
	if err != nil && strings.Contains(err.Error(), "5BAA6") {
		t.Errorf("the error has a part of the hash: %v", err)
	}
}

func TestAnswersAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	c := ask(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, passwordRest+":1")
	})
	now := time.Now()
	c.now = func() time.Time { return now }
	for after, want := range []int32{1, 1, 2} {
		now = now.Add(time.Duration(after) * (keepFor / 2))
		if breached, err := c.Breached("password"); !breached || err != nil {
			t.Error(breached, err)
		}
		if got := asked.Load(); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
}

func TestFewAnswersAreKept(t *testing.T) {
	t.Parallel()
	c := New(DefaultURL)
	for n := range 2 * maxKept {
		c.keep(fmt.Sprintf("%05X", n), passwordRest)
	}
	if len(c.kept) != maxKept || c.size != maxKept*suffixLength {
		t.Errorf("%d answers with %d bytes", len(c.kept), c.size)
	}
	large := strings.Repeat("0", maxAnswer)
	for n := range 2 * maxKeptSize / maxAnswer {
		c.keep(fmt.Sprintf("%05X", n), large)
	}
	if c.size > maxKeptSize || len(c.kept) == 0 {
		t.Errorf("%d answers with %d bytes", len(c.kept), c.size)
	}
	if _, known := c.find(fmt.Sprintf("%05X", 2*maxKeptSize/maxAnswer-1)); !known {
		t.Error("the last one isn't kept")
	}
}

func TestFewAreAskedAtOnce(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	all := make(chan struct{}) // closed when as many as may are there
	c := ask(t, func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if n == maxAtOnce {
			close(all)
		}
		<-all
	})
	c.timeout = time.Minute
	var group sync.WaitGroup
	for n := range maxAtOnce {
		group.Go(func() { _, _ = c.Breached(fmt.Sprint(n)) })
	}
	<-all
	group.Wait()
	for range maxAtOnce { // all are taken
		c.slots <- struct{}{}
	}
	c.timeout = time.Millisecond
	if _, err := c.Breached("password"); err != errBusy {
		t.Errorf("one more: %v", err)
	}
	if most.Load() != maxAtOnce {
		t.Errorf("%d at once", most.Load())
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", padding, passwordRest + ":1\r\n", ":", passwordRest, "\n\n" + passwordRest + ":00\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		suffixes, err := parse(text)
		if err == nil && (len(suffixes)%suffixLength != 0 || len(suffixes) > len(text) || strings.Trim(suffixes, "0123456789ABCDEF") != "") {
			t.Errorf("%q", suffixes)
		}
	})
}
