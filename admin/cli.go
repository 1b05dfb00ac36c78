package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// OfflineRealm is a realm that a command opens without a server.
type OfflineRealm struct {
	Realms    Realms // only this realm; opens its store on first use
	Location  string // of the store
	Model     *model.Model
	OpenStore func(context.Context) (model.Store, error) // without the rest of the realm
	Close     func() error
}

// offlineOpener prepares a realm that a configuration defines. It doesn't open
// the store yet.
type offlineOpener func(config []byte, realm string) (*OfflineRealm, error)

// cliContext is what a command works with.
type cliContext struct {
	cmd    *cobra.Command
	ctx    context.Context
	realm  string
	json   bool
	config []byte // as JSON; nil without a configuration file
	file   string // that the configuration is from
	admin  string // address of the admin API

	server bool // whether a server answers at that address
	told   bool // whether the user was told which it is

	openOffline offlineOpener
	offline     *OfflineRealm // nil until it is needed
}

// runner turns a function into cobra's RunE.
type runner func(do func(c *cliContext, args []string) error) func(*cobra.Command, []string) error

// newRunner calls prepare before the function.
func newRunner(prepare func(*cliContext) error) runner {
	return func(do func(c *cliContext, args []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			wrapped := caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
				ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
				defer stop()
				c := &cliContext{cmd: cmd, ctx: ctx}
				c.realm, _ = cmd.Flags().GetString("realm")
				c.json, _ = cmd.Flags().GetBool("json")
				err := prepare(c)
				if err == nil {
					err = errors.Join(do(c, args), c.close())
				}
				return exitStatus(err), err
			})
			return wrapped(cmd, args)
		}
	}
}

// setUp reads the configuration, and looks for a server.
func (c *cliContext) setUp() error {
	flags := c.cmd.Flags()
	address, _ := flags.GetString("address")
	file, _ := flags.GetString("config")
	adapter, _ := flags.GetString("adapter")
	if file == "" && address == "" {
		var err error
		if file, err = findConfig(); err != nil {
			return err
		}
	}
	if file != "" {
		var err error
		if c.config, err = readConfig(file, adapter); err != nil {
			return err
		}
		c.file = file
	}
	var err error
	if c.admin, err = caddycmd.DetermineAdminAPIAddress(address, c.config, file, adapter); err != nil {
		return err
	}
	err = answers(c.admin)
	c.server = err == nil
	if err != nil && address != "" {
		return fmt.Errorf("no server at %s: %w", c.admin, err)
	}
	return nil
}

// readConfig reads a configuration file as JSON.
func readConfig(file, adapter string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if adapter == "" && strings.EqualFold(filepath.Ext(file), ".json") {
		return text, nil
	}
	if adapter == "" {
		adapter = "caddyfile"
	}
	a := caddyconfig.GetAdapter(adapter)
	if a == nil {
		return nil, fmt.Errorf("unknown adapter %s", adapter)
	}
	adapted, _, err := a.Adapt(text, map[string]any{"filename": file})
	return adapted, err
}

// answers returns an error unless something listens at the address of an admin API.
func answers(address string) error {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		return err
	}
	if parsed.IsUnixNetwork() {
		parsed.Host, _, _ = strings.Cut(parsed.Host, "|") // the socket's permissions
	}
	conn, err := net.DialTimeout(parsed.Network, parsed.JoinHostPort(0), 5*time.Second)
	if err != nil {
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			err = cause // such as: connection refused
		}
		return err
	}
	return conn.Close()
}

// note writes to standard error, since standard output is for answers.
func (c *cliContext) note(format string, args ...any) {
	fmt.Fprintf(c.cmd.ErrOrStderr(), format+"\n", args...)
}

func (c *cliContext) close() error {
	if c.offline == nil {
		return nil
	}
	return c.offline.Close()
}

// do sends a request to the admin API, or to the store itself, and decodes the
// answer into v unless it is nil.
func (c *cliContext) do(method, path string, body, v any) error {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(text)
	}
	return c.send(method, path, reader, v)
}

func (c *cliContext) send(method, path string, body io.Reader, v any) error {
	uri := "/djoser/" + url.PathEscape(c.realm) + path
	ask := c.askStore
	if c.server {
		ask = c.askServer
	}
	answer, err := ask(method, uri, body)
	if err != nil || v == nil {
		return err
	}
	return json.Unmarshal(answer, v)
}

func (c *cliContext) askServer(method, uri string, body io.Reader) ([]byte, error) {
	if !c.told {
		c.told = true
		c.note("Realm %s of the server at %s.", c.realm, c.admin)
		if err := c.awaitSite(); err != nil {
			return nil, err
		}
	}
	resp, err := caddycmd.AdminAPIRequest(c.admin, method, uri, nil, body)
	if err != nil {
		return nil, serverError(err)
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// startTime is how long a server may need to start after its admin API answers.
const startTime = 2 * time.Second

// awaitSite waits until a server that was just started serves its sites. The admin
// API answers before that, and restarts with each configuration.
func (c *cliContext) awaitSite() error {
	for end := time.Now().Add(startTime); ; {
		resp, err := caddycmd.AdminAPIRequest(c.admin, http.MethodGet, "/djoser/", nil, nil)
		if err == nil {
			return resp.Body.Close()
		}
		answered := statusText.MatchString(err.Error())
		err = serverError(err)
		if answered && err.Error() != noSite || time.Now().After(end) {
			return err
		}
		select {
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

var statusText = regexp.MustCompile(`(?s)^caddy responded with error: HTTP (\d+): (.*)$`)

// serverError extracts an error of the admin API from Caddy's error.
func serverError(err error) error {
	found := statusText.FindStringSubmatch(err.Error())
	if found == nil {
		return err
	}
	status, _ := strconv.Atoi(found[1])
	var e struct {
		Text   string          `json:"error"`
		Fields json.RawMessage `json:"fields"`
	}
	if json.Unmarshal([]byte(found[2]), &e) != nil || e.Text == "" {
		return fmt.Errorf("the server has no djoser admin API: it answers %d", status)
	}
	return answerError(status, e.Text, e.Fields)
}

func answerError(status int, text string, fields json.RawMessage) error {
	text += fieldErrors(fields)
	switch {
	case status == http.StatusNotFound && strings.HasPrefix(text, account.ErrNoUser.Error()):
		return fmt.Errorf("%w%s", account.ErrNoUser, printable(strings.TrimPrefix(text, account.ErrNoUser.Error())))
	case status == http.StatusNotFound && strings.HasPrefix(text, "realm "):
		text += " (name one with --realm)"
	}
	return errors.New(printable(text))
}

// fieldErrors is the end of an error about the values of fields.
func fieldErrors(fields json.RawMessage) string {
	if len(fields) == 0 {
		return ""
	}
	var byName map[string][]string
	if json.Unmarshal(fields, &byName) != nil {
		return ": " + string(fields)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, name+": "+strings.Join(byName[name], " "))
	}
	return ": " + strings.Join(list, "; ")
}

// askStore lets the admin API answer in this process.
func (c *cliContext) askStore(method, uri string, body io.Reader) ([]byte, error) {
	o, err := c.open()
	if err != nil {
		return nil, err
	}
	if body == nil {
		body = http.NoBody
	}
	r, err := http.NewRequestWithContext(c.ctx, method, "http://localhost"+uri, body)
	if err != nil {
		return nil, err
	}
	w := &answerWriter{header: make(http.Header)}
	answer, err := serveRealms(o.Realms, w, r)
	if err := respond(w, r, answer, err); err != nil {
		return nil, err
	}
	if w.status < 400 {
		return w.Bytes(), nil
	}
	var e struct {
		Text   string          `json:"error"`
		Fields json.RawMessage `json:"fields"`
	}
	if err := json.Unmarshal(w.Bytes(), &e); err != nil {
		return nil, err
	}
	return nil, answerError(w.status, e.Text, e.Fields)
}

// answerWriter keeps an answer in memory.
type answerWriter struct {
	bytes.Buffer
	header http.Header
	status int
}

func (w *answerWriter) Header() http.Header    { return w.header }
func (w *answerWriter) WriteHeader(status int) { w.status = status }

// open prepares the realm in this process, once.
func (c *cliContext) open() (*OfflineRealm, error) {
	if c.offline != nil {
		return c.offline, nil
	}
	if c.config == nil {
		return nil, fmt.Errorf("no server at %s, and no configuration file that names the store: use --config", c.admin)
	}
	o, err := c.openOffline(c.config, c.realm)
	if err != nil {
		return nil, fmt.Errorf("no server at %s; %s: %w", c.admin, c.file, err)
	}
	c.offline = o
	c.note("No server at %s: opening realm %s in %s.", c.admin, c.realm, o.Location)
	return o, mayOpen(o.Location)
}

// print writes an answer as JSON, or calls show.
func (c *cliContext) print(answer any, show func(w io.Writer)) error {
	out := c.cmd.OutOrStdout()
	if !c.json {
		show(out)
		return nil
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(answer)
}

// printable replaces characters with which a user's text could control the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
