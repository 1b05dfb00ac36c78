package social

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// timeout bounds all requests to a provider at the begin of a log-in, and at its end.
const timeout = 10 * time.Second

// maxBody is the maximum size of an answer of a provider in bytes.
const maxBody = 1 << 20

// newClient returns a client for requests to providers. It follows no redirects: they
// would take secrets elsewhere.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Transport:     bounded{transport},
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded makes a longer body an error.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxBody}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

var errTooLong = errors.New("the answer is too long")

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}

// exchangeError returns an error of an exchange of a code. It leaves out what the provider
// said, which may have secrets, apart from the name of the error.
func exchangeError(err error) error {
	refused := new(oauth2.RetrieveError)
	switch {
	case !errors.As(err, &refused):
		return answerError(err)
	case refused.Response != nil && refused.Response.StatusCode >= 500:
		return fmt.Errorf("%w: status %d", ErrUnavailable, refused.Response.StatusCode)
	case refused.ErrorCode == "invalid_client" || refused.ErrorCode == "unauthorized_client" || refused.ErrorCode == "incorrect_client_credentials":
		return fmt.Errorf("%w: it says %s: check client_id and client_secret", ErrAnswer, refused.ErrorCode)
	case refused.ErrorCode != "":
		return fmt.Errorf("%w: it says %s", ErrDenied, short(refused.ErrorCode))
	}
	return fmt.Errorf("%w: status %d", ErrDenied, refused.Response.StatusCode)
}

// answerError tells whether a provider didn't answer, or not as it should.
func answerError(err error) error {
	is := ErrAnswer
	if isNetwork(err) {
		is = ErrUnavailable
	}
	return fmt.Errorf("%w: %s", is, short(err.Error()))
}

// isNetwork reports whether an error is about the connection to a provider.
func isNetwork(err error) bool {
	network := new(networkError)
	return errors.As(err, network) && !errors.Is(err, errTooLong) || errors.Is(err, context.DeadlineExceeded)
}

// networkError matches *url.Error and *net.OpError.
type networkError interface {
	error
	Timeout() bool
	Temporary() bool
}

// short bounds a text that a provider may have written.
func short(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), 200)], "")
}

// getJSON reads an answer of a provider's API.
func getJSON(ctx context.Context, client *http.Client, url string, token *oauth2.Token, to any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	token.SetAuthHeader(r)
	r.Header.Set("Accept", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return answerError(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500:
		return fmt.Errorf("%w: status %d", ErrUnavailable, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: status %d", ErrAnswer, resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(to); err != nil {
		return answerError(err)
	}
	return nil
}
