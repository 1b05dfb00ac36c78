// Package pwned asks Have I Been Pwned, or a server of the same protocol, whether a password
// has appeared in a data breach. The server learns the first five digits of the password's
// SHA-1, which it has in common with a millionth of all passwords. Source: the range API at
// https://haveibeenpwned.com/API/v3#PwnedPasswords.
package pwned

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// DefaultURL is where the ranges of Have I Been Pwned are.
const DefaultURL = "https://api.pwnedpasswords.com/range/"

const (
	prefixLength = 5
	suffixLength = 2*sha1.Size - prefixLength

	timeout     = 2 * time.Second // for an answer, with waiting for others
	maxAtOnce   = 8               // requests
	maxAnswer   = 256 << 10       // bytes; a real one has about 60 KiB
	keepFor     = 6 * time.Hour
	maxKept     = 256     // answers
	maxKeptSize = 8 << 20 // bytes of all answers
)

// Client asks a server. It is safe for concurrent use.
type Client struct {
	url     string
	client  *http.Client
	timeout time.Duration
	now     func() time.Time
	slots   chan struct{}

	mu   sync.Mutex
	kept map[string]answer // by prefix
	size int               // of all answers in bytes
}

// answer are the suffixes of a prefix, one after the other, in upper case.
type answer struct {
	suffixes string
	at       time.Time
}

// CheckURL returns an error unless ranges can be at a URL.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.RawQuery == "" && u.Fragment == "" {
		return nil
	}
	return fmt.Errorf("%q is not the URL of ranges, such as %s", text, DefaultURL)
}

// New returns a client for the ranges at a URL. The five digits are added to its path.
func New(at string) *Client {
	return &Client{
		url:     strings.TrimRight(at, "/") + "/",
		timeout: timeout,
		now:     time.Now,
		slots:   make(chan struct{}, maxAtOnce),
		kept:    make(map[string]answer),
		client: &http.Client{
			Transport: &http.Transport{
				Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 16 << 10, IdleConnTimeout: 30 * time.Second,
			},
			// Another server wasn't chosen to be told anything.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Breached reports whether a password has appeared in a data breach. It takes two seconds at
// most. An error means that nobody knows; it has no part of the password's hash.
func (c *Client) Breached(password string) (bool, error) {
	sum := sha1.Sum([]byte(password))
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	prefix, suffix := digits[:prefixLength], digits[prefixLength:]
	suffixes, known := c.find(prefix)
	if !known {
		var err error
		if suffixes, err = c.ask(prefix); err != nil {
			return false, err
		}
		c.keep(prefix, suffixes)
	}
	for len(suffixes) > 0 {
		if suffixes[:suffixLength] == suffix {
			return true, nil
		}
		suffixes = suffixes[suffixLength:]
	}
	return false, nil
}

var errBusy = errors.New("too many passwords are being asked about")

// ask returns the suffixes of a prefix.
func (c *Client) ask(prefix string) (suffixes string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return "", errBusy
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+prefix, nil)
	if err != nil {
		return "", withoutURL(err)
	}
	req.Header.Set("Add-Padding", "true")
	req.Header.Set("User-Agent", "caddy-djoser") // required
	resp, err := c.client.Do(req)
	if err != nil {
		return "", withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the answer is %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return "", withoutURL(err)
	case len(text) > maxAnswer:
		return "", fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return parse(string(text))
}

// withoutURL returns the cause of an error of package http, whose text has the URL.
func withoutURL(err error) error {
	if e := new(url.Error); errors.As(err, &e) {
		return e.Err
	}
	return err
}

var errMalformed = errors.New("the answer is not a list of suffixes and counts")

// parse returns the suffixes in an answer: lines of a suffix, a colon and a count. Those
// with a count of zero are padding.
func parse(text string) (string, error) {
	var suffixes strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		suffix, count, found := strings.Cut(line, ":")
		if !found || len(suffix) != suffixLength || strings.Trim(suffix, "0123456789ABCDEFabcdef") != "" ||
			count == "" || strings.Trim(count, "0123456789") != "" {
			return "", errMalformed
		}
		if strings.Trim(count, "0") != "" {
			suffixes.WriteString(strings.ToUpper(suffix))
		}
	}
	return suffixes.String(), nil
}

// find returns an answer that was kept.
func (c *Client) find(prefix string) (suffixes string, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, known := c.kept[prefix]
	if age := c.now().Sub(a.at); !known || age < 0 || age >= keepFor {
		return "", false
	}
	return a.suffixes, true
}

func (c *Client) keep(prefix, suffixes string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(prefix)
	c.kept[prefix] = answer{suffixes, c.now()}
	c.size += len(suffixes)
	for other := range c.kept { // in random order
		if len(c.kept) <= maxKept && c.size <= maxKeptSize {
			break
		}
		if other != prefix {
			c.drop(other)
		}
	}
}

// drop forgets an answer. The caller holds mu.
func (c *Client) drop(prefix string) {
	c.size -= len(c.kept[prefix].suffixes)
	delete(c.kept, prefix)
}
