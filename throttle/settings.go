package throttle

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rate is how many times something may happen within a time, such as 10/1m.
type Rate struct {
	Times int
	Per   time.Duration
}

// Bounds of a rate. Each time is remembered until the duration is over.
const (
	maxRateTimes = 10_000
	maxRatePer   = 30 * 24 * time.Hour
)

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d/%s", r.Times, r.Per), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(text []byte) error {
	times, per, _ := strings.Cut(string(text), "/")
	var err, errPer error
	r.Times, err = strconv.Atoi(times)
	r.Per, errPer = parseDuration(per)
	if err != nil || errPer != nil || r.Times < 1 || r.Times > maxRateTimes || r.Per < time.Second || r.Per > maxRatePer {
		return fmt.Errorf("rate %q: it must be a number and a time, such as 10/1m, of at most %d and 30d", text, maxRateTimes)
	}
	return nil
}

// parseDuration also accepts days (d), before other units.
func parseDuration(s string) (time.Duration, error) {
	number, rest, found := strings.Cut(s, "d")
	if !found {
		return time.ParseDuration(s)
	}
	days, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(days) || math.Abs(days) > 1000 {
		return 0, errors.New("invalid number of days")
	}
	total := time.Duration(days * 24 * float64(time.Hour))
	if rest == "" {
		return total, nil
	}
	more, err := time.ParseDuration(rest)
	return total + more, err
}

// Settings limit how often clients may send requests. More requests get 429,
// as with REST framework's throttles.
type Settings struct {
	// Off turns off all limits, including those on mails. Default: they are on.
	Off bool `json:"off,omitempty"`

	// Shared counts the requests to all servers together, in the store that they share.
	// It needs a store that several servers use at once, such as postgres. While the
	// store can't count, each server counts alone. Default: each server counts alone.
	Shared bool `json:"shared,omitempty"`

	// Endpoints are the rates of requests from one client address, IPv6 by
	// /64, by the name of the endpoint. An IPv4 /24 may send 8 times as many, an
	// IPv6 /56 4 times and a /48 16 times. Reading me, users and tokens is
	// unlimited. An empty list means no limit. Default: 10/1m for login, jwt_create,
	// mfa, reauthenticate, provider, identities, activate, password_reset_confirm, username_reset_confirm,
	// username and password; 10/1m
	// and 60/1h for register, password_reset, username_reset, activate_resend and named_token;
	// 30/1m for passkeys;
	// 30/1m and 300/1h for me and users; none for the others.
	Endpoints map[string][]Rate `json:"endpoints,omitempty"`

	// WrongPasswords are the rates of wrong passwords for one account, from all
	// addresses together. Addresses that have logged in to it before are neither
	// counted nor limited. An empty list means no limit. Default: 25/1m, 100/1h
	// and 400/1d.
	WrongPasswords []Rate `json:"wrong_passwords,omitzero"`
}

var (
	quickRates   = []Rate{{10, time.Minute}}
	passkeyRates = []Rate{{30, time.Minute}} // a log-in takes two
	slowRates    = []Rate{{10, time.Minute}, {60, time.Hour}}

	// profileRates limit changes of an account's fields, each of which can tell
	// whether a unique value is taken.
	profileRates = []Rate{{30, time.Minute}, {300, time.Hour}}

	defaultEndpointRates = map[string][]Rate{
		"login":                  quickRates,
		"jwt_create":             quickRates,
		"provider":               quickRates,
		"identities":             quickRates,
		"mfa":                    quickRates,
		"reauthenticate":         quickRates,
		"passkeys":               passkeyRates,
		"register":               slowRates,
		"activate":               quickRates,
		"activate_resend":        slowRates,
		"username":               quickRates,
		"password":               quickRates,
		"me":                     profileRates,
		"password_reset":         slowRates,
		"password_reset_confirm": quickRates,
		"username_reset":         slowRates,
		"username_reset_confirm": quickRates,
		"users":                  profileRates,
		"named_token":            slowRates,
	}

	defaultWrongPasswords = []Rate{{25, time.Minute}, {100, time.Hour}, {400, 24 * time.Hour}}
)

// Endpoint returns the limits on requests to an endpoint from one address.
func (t *Settings) Endpoint(name string) []Rate {
	if t.Off {
		return nil
	}
	if rates, ok := t.Endpoints[name]; ok {
		return rates
	}
	return defaultEndpointRates[name]
}

// WrongPasswordRates returns the limits on wrong passwords for one account.
func (t *Settings) WrongPasswordRates() []Rate {
	switch {
	case t.Off:
		return nil
	case t.WrongPasswords != nil:
		return t.WrongPasswords
	}
	return defaultWrongPasswords
}

// Validate checks the settings. endpoints are the names that Endpoints may have.
func (t *Settings) Validate(endpoints []string) error {
	for name, rates := range t.Endpoints {
		if !slices.Contains(endpoints, name) {
			return fmt.Errorf("throttle: unknown endpoint %s: use shared, wrong_passwords, %s", name, strings.Join(endpoints, ", "))
		}
		if err := validRates(rates); err != nil {
			return fmt.Errorf("throttle %s: %w", name, err)
		}
	}
	if err := validRates(t.WrongPasswords); err != nil {
		return fmt.Errorf("throttle wrong_passwords: %w", err)
	}
	return nil
}

// validRates checks rates that were not parsed from text.
func validRates(rates []Rate) error {
	if len(rates) > maxRates {
		return fmt.Errorf("%d rates: %d are enough", len(rates), maxRates)
	}
	for _, r := range rates {
		if r.Times < 1 || r.Per <= 0 {
			return errors.New("a rate must be such as 10/1m")
		}
	}
	return nil
}

const maxRates = 4
