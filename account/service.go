// Package account is the domain: what owners and administrators can do with accounts, auth
// tokens and links in mails, and the limits on it. Service is what all ways in call:
// endpoints, the admin API and commands. The package knows nothing of HTTP, Caddy or zap.
package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddy-djoser/djoser/throttle"
)

// Service is everything that can be done with the accounts of a realm. What owners can
// do are the methods of Request, which Do makes; the other methods are for
// administrators and for what runs in the background.
type Service struct {
	Store      model.Store
	Model      *model.Model
	Rules      Rules
	Links      Links
	Hasher     password.Argon2id
	Pool       *password.Pool
	Validators password.Validators
	Throttles  *Throttles

	RelyingParty *RelyingParty // of passkeys; nil: there are none

	Rates    *throttle.Settings
	locks    accountLocks
	Reporter Reporter
	WakeMail func() // wakes the outbox after a mail was committed
	Now      func() time.Time
}

// Reporter logs and counts what happens to accounts.
type Reporter interface {
	// Report is called with every event.
	Report(e Event)

	// Hash runs work in a pool. It returns the pool's error, if any.
	Hash(ctx context.Context, pool *password.Pool, who password.Caller, work func()) error

	// Mailed counts mails that were queued, sent or failed, or that a limit left out: outcome
	// is queued, sent, failed or throttled.
	Mailed(outcome string, mails ...*model.Mail)
}

// Rules are the settings of a realm that the Service follows. See the settings of the
// same names.
type Rules struct {
	Registration           Registration
	Approvers              []string // addresses to tell of accounts that wait
	QuietRegistration      bool
	SendActivationEmail    bool
	LoginAfterRegistration bool
	LoginAfterActivation   bool
	LogoutOnPasswordChange bool

	SendConfirmationEmail            bool
	PasswordChangedEmailConfirmation bool
	UsernameChangedEmailConfirmation bool

	ReserveUsernames time.Duration
	SendsMails       bool          // there is a mailer
	MFA              bool          // passkeys are second factors
	TokenTTL         time.Duration // zero: for ever
	SessionTTL       time.Duration // of refresh tokens
	RotateSessions   bool          // each refresh makes a new refresh token
	TokensPerUser    int
	NamedTTL         time.Duration // the longest of a named token; zero: any
	NamedPerUser     int           // named tokens of an account
}

// TokenExpires returns when a token made now expires; zero: never.
func (r *Rules) TokenExpires(now time.Time) time.Time {
	if r.TokenTTL <= 0 {
		return time.Time{}
	}
	return now.Add(r.TokenTTL)
}

// Errors of the Service. Callers put them into words.
var (
	// ErrRefused matches, by errors.Is, every error that an invalid request caused.
	ErrRefused = errors.New("refused")

	ErrCredentials = errors.New("wrong credentials")
	ErrDisabled    = errors.New("account is not active")
	ErrLink        = errors.New("invalid link")
	ErrUsed        = fmt.Errorf("%w: it has activated the account already", ErrLink)
	ErrPassword    = errors.New("wrong current password")
)

// Client is the sender of a request.
type Client struct {
	Address  string
	Agent    string
	Protocol string // of links in mails: http or https
	Language string // that it prefers; see Mail
	known    bool   // has logged in to the account before
}

// caller returns the client for the queue of the hashing pool.
func (c Client) caller() password.Caller {
	return password.Caller{Network: throttle.Neighbourhood(c.Address), Known: c.known}
}

// Event is a request to an account, and its outcome.
type Event struct {
	Action  string         // what was requested, such as login; admin_… by an administrator
	Name    string         // of what happened, such as logged_in
	Outcome string         // ok, or why it didn't happen
	Account *model.Account // nil: unknown
	By      string         // owner (default) or admin
	Client  Client
}

// Outcomes of an Event.
const (
	OutcomeOK        = "ok"
	OutcomeRefused   = "refused" // the request is invalid
	OutcomeWrong     = "wrong_password"
	OutcomeDisabled  = "inactive"
	OutcomeLink      = "bad_link"
	OutcomeFactor    = "mfa_required" // the password was right
	OutcomeCode      = "wrong_code"
	OutcomeCloned    = "cloned_passkey"
	OutcomeReused    = "reused" // a refresh token, so its session has ended
	OutcomeTaken     = "taken"
	OutcomeThrottled = "throttled"
	OutcomeBusy      = "busy"  // too many passwords are being hashed
	OutcomeError     = "error" // of the store or of a provider
)

// Request is a request of an account's owner. Only Do makes one, so that none is served
// that isn't counted and reported.
type Request struct {
	accounts *Service
	event    Event // to report, with what the methods learned
	noLogin  bool

	noRegistration bool
}

// NoLogin makes Register and Activate return no token, whatever login_after_registration
// and login_after_activation say.
func (r *Request) NoLogin() { r.noLogin = true }

// NoRegistration makes LoginBy refuse who has no account yet, whatever registration says.
func (r *Request) NoRegistration() { r.noRegistration = true }

// Do serves a request of an account's owner: it counts the request for the networks of
// the client, calls do unless that is too many, and reports the event. The event has
// the action, the name and the client, and the account of the request's token, if any.
// The error is do's, or *TooSoonError.
func (a *Service) Do(ctx context.Context, e Event, do func(*Request) error) error {
	r := &Request{accounts: a, event: e}
	r.event.By = cmp.Or(e.By, "owner")
	err := a.allow(ctx, e.Action, e.Client, e.Account)
	if err == nil {
		err = do(r)
	}
	if outcome := outcomeOf(err); r.event.Outcome == "" || outcome != OutcomeRefused {
		r.event.Outcome = outcome
	}
	a.Reporter.Report(r.event)
	return err
}

// outcomeOf returns the outcome for an error.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return OutcomeOK
	case errors.Is(err, password.ErrBusy):
		return OutcomeBusy
	case errors.As(err, new(*TooSoonError)):
		return OutcomeThrottled
	case errors.As(err, new(*model.TakenError)):
		return OutcomeTaken
	case errors.Is(err, ErrCredentials), errors.Is(err, ErrPassword):
		return OutcomeWrong
	case errors.Is(err, ErrDisabled):
		return OutcomeDisabled
	case errors.As(err, new(*FactorError)):
		return OutcomeFactor
	case errors.Is(err, ErrCode):
		return OutcomeCode
	case errors.Is(err, ErrCloned):
		return OutcomeCloned
	case errors.Is(err, ErrLink):
		return OutcomeLink
	case errors.Is(err, ErrReused):
		return OutcomeReused
	case errors.Is(err, ErrRefused), errors.Is(err, model.ErrNotFound), errors.Is(err, ErrFactorSet), errors.Is(err, ErrNoFactor), errors.Is(err, ErrTooManyTokens),
		errors.As(err, new(*model.FieldError)), errors.As(err, new(*model.NamesError)):
		return OutcomeRefused
	}
	return OutcomeError
}

// maxAgent is the maximum length of a stored User-Agent in bytes.
const maxAgent = 200

// attempts is how often a change is tried if other requests change the account
// meanwhile.
const attempts = 20

// Update reads an account, lets change modify it and the transaction, and writes it.
// If the account was changed meanwhile, it starts again.
func (a *Service) Update(ctx context.Context, id uint64, change func(*model.Account, *model.Change) error) (*model.Account, error) {
	unlock, err := a.locks.lock(ctx, id)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for range attempts {
		acc, err := a.Store.Account(ctx, id)
		if err != nil {
			return nil, err
		}
		before := acc.Clone()
		c := &model.Change{Account: acc}
		former := a.Model.OwnNames(acc)
		if err := change(acc, c); err != nil {
			return nil, err
		}
		if err := a.rekey(c, former); err != nil {
			return nil, err
		}
		if c.IsPlain() && reflect.DeepEqual(acc, before) {
			return acc, nil
		}
		if err := a.Commit(ctx, c); !errors.Is(err, model.ErrConflict) {
			return acc, err
		}
	}
	return nil, model.ErrConflict
}

// rekey updates the unique keys of a changed account. Keys of former names become
// reserved.
func (a *Service) rekey(c *model.Change, former []model.Key) error {
	if c.Delete {
		return nil
	}
	if err := a.Model.Reserve(c.Account, former); err != nil {
		return err
	}
	return a.Model.SetKeys(c)
}

// Commit applies a change, and wakes the outbox if the change has mails.
func (a *Service) Commit(ctx context.Context, c *model.Change) error {
	if err := a.Store.Commit(ctx, c); err != nil {
		return err
	}
	if len(c.Mails) > 0 {
		a.Reporter.Mailed("queued", c.Mails...)
		a.WakeMail()
	}
	return nil
}

// newLogin returns a new auth token and its record, for addLogin.
func newLogin(m model.Method) (value string, t *model.Token) {
	value = model.NewToken()
	digest, _ := model.DigestOf(value)
	return value, &model.Token{Digest: digest, Method: m}
}

// addLogin adds a log-in to the change: the record of an auth token or a session. Every way to
// log in goes through it, so none gets round a second factor. Errors: *FactorError, unless the
// record says that the factor was proved.
func (a *Service) addLogin(change *model.Change, acc *model.Account, c Client, t *model.Token) error {
	if a.Rules.NeedsFactor(acc) && !t.MFA {
		return &FactorError{a.ephemeral(acc, kindOf(t))}
	}
	t.Account, t.Created = acc.ID, a.Now()
	t.Expires = a.Rules.TokenExpires(t.Created)
	if t.Generation > 0 {
		t.Expires = t.Created.Add(a.Rules.SessionTTL)
	}
	t.Address, t.Agent = c.Address, CutAgent(c.Agent)
	change.Token, change.TokenLimit, change.Language = t, a.Rules.TokensPerUser, c.Language
	return nil
}

// CutAgent shortens a User-Agent to what is stored.
func CutAgent(agent string) string {
	return strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], "")
}

func (a *Service) mail(p model.Purpose, acc *model.Account, c Client) *model.Mail {
	now := a.Now()
	return &model.Mail{
		Account: acc.ID, Purpose: p, Protocol: c.Protocol, Language: c.Language,
		Source: throttle.Source(c.Address), Created: now, Due: now,
	}
}
