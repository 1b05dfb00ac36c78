package account

import (
	"container/list"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// ThrottleSettings limit how often clients may send requests. More requests get 429,
// as with REST framework's throttles.
type ThrottleSettings struct {
	// Off turns off all limits, including those on mails. Default: they are on.
	Off bool `json:"off,omitempty"`

	// Endpoints are the rates of requests from one client address, IPv6 by
	// /64, by the name of the endpoint. An IPv4 /24 may send 8 times as many, an
	// IPv6 /56 4 times and a /48 16 times. Reading me and tokens is unlimited. An
	// empty list means no limit. Default: 10/1m for login, activate,
	// password_reset_confirm, username and password; 10/1m and 60/1h for
	// register, password_reset and activate_resend; 30/1m and 300/1h for me;
	// none for the others.
	Endpoints map[string][]Rate `json:"endpoints,omitempty"`

	// WrongPasswords are the rates of wrong passwords for one account, from all
	// addresses together. Addresses that have logged in to it before are neither
	// counted nor limited. An empty list means no limit. Default: 25/1m, 100/1h
	// and 400/1d.
	WrongPasswords []Rate `json:"wrong_passwords,omitzero"`
}

var (
	quickRates = []Rate{{10, time.Minute}}
	slowRates  = []Rate{{10, time.Minute}, {60, time.Hour}}

	// profileRates limit changes of an account's fields, each of which can tell
	// whether a unique value is taken.
	profileRates = []Rate{{30, time.Minute}, {300, time.Hour}}

	defaultEndpointRates = map[string][]Rate{
		"login":                  quickRates,
		"register":               slowRates,
		"activate":               quickRates,
		"activate_resend":        slowRates,
		"username":               quickRates,
		"password":               quickRates,
		"me":                     profileRates,
		"password_reset":         slowRates,
		"password_reset_confirm": quickRates,
	}

	defaultWrongPasswords = []Rate{{25, time.Minute}, {100, time.Hour}, {400, 24 * time.Hour}}

	// pairRates limit one account from one address, at every endpoint with a
	// limit. They also hold if the limit on addresses was raised, because many
	// clients share one.
	pairRates = []Rate{{10, time.Minute}, {50, time.Hour}}
)

// endpoint returns the limits on requests to an endpoint from one address.
func (t *ThrottleSettings) endpoint(name string) []Rate {
	if t.Off {
		return nil
	}
	if rates, ok := t.Endpoints[name]; ok {
		return rates
	}
	return defaultEndpointRates[name]
}

func (t *ThrottleSettings) wrongPasswords() []Rate {
	switch {
	case t.Off:
		return nil
	case t.WrongPasswords != nil:
		return t.WrongPasswords
	}
	return defaultWrongPasswords
}

// Validate checks the settings. endpoints are the names that Endpoints may have.
func (t *ThrottleSettings) Validate(endpoints []string) error {
	for name, rates := range t.Endpoints {
		if !slices.Contains(endpoints, name) {
			return fmt.Errorf("throttle: unknown endpoint %s: use wrong_passwords, %s", name, strings.Join(endpoints, ", "))
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

// Throttles remember requests and attempts. They live as long as the store is open, so
// that a reload forgets nothing.
type Throttles struct {
	requests *limiter // by address, by account and address, by account
	known    *limiter // addresses that have logged in, by account
	mails    *limiter // by account
	pace     *pace    // of wrong passwords
}

// NewThrottles returns throttles that have counted nothing yet.
func NewThrottles(now func() time.Time) *Throttles {
	return &Throttles{newLimiter(now), newLimiter(now), newLimiter(now), new(pace)}
}

// limiter counts events by key, and remembers the time of each, as REST framework's
// throttles do. It is bounded: if it has too many, it forgets the keys that were not
// seen for longest.
type limiter struct {
	now   func() time.Time
	begin time.Time // times count from here, so that setting the clock back has no effect
	seed  maphash.Seed

	mu     sync.Mutex
	byKey  map[uint64]*list.Element // of *history, by the hash of the key
	recent list.List                // the key seen last is at the front
	times  int                      // that are remembered
}

// limitKey is a key of a limiter, which keeps only a seeded hash of it.
type limitKey [3]string

// limit is a key with its rates.
type limit struct {
	key   limitKey
	rates []Rate
}

type history struct {
	hash  uint64
	times []time.Duration // since the limiter's begin, oldest first
}

// maxTimes is the maximum number of remembered times. It keeps a limiter under some
// twenty megabytes.
const maxTimes = 100_000

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, begin: now(), seed: maphash.MakeSeed(), byKey: make(map[uint64]*list.Element)}
}

// allow counts one event under every key. If a rate of one is exceeded, it counts
// nothing, and returns how long to wait.
func (l *limiter) allow(limits ...limit) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Sub(l.begin)
	for _, lim := range limits {
		if h := l.find(lim.key); h != nil {
			wait = max(wait, h.wait(lim.rates, now))
		}
	}
	if wait > 0 {
		return wait, false
	}
	for _, lim := range limits {
		l.add(lim, now)
	}
	for l.times > maxTimes {
		l.remove(l.recent.Back())
	}
	return 0, true
}

// wait returns how long to wait until every rate allows one more event.
func (h *history) wait(rates []Rate, now time.Duration) (wait time.Duration) {
	for _, r := range rates {
		if i := len(h.times) - r.Times; i >= 0 {
			wait = max(wait, h.times[i]-now+r.Per)
		}
	}
	return wait
}

func (l *limiter) find(key limitKey) *history {
	e, ok := l.byKey[maphash.Comparable(l.seed, key)]
	if !ok {
		return nil
	}
	l.recent.MoveToFront(e)
	return e.Value.(*history)
}

func (l *limiter) add(lim limit, now time.Duration) {
	h := l.find(lim.key)
	if h == nil {
		h = &history{hash: maphash.Comparable(l.seed, lim.key)}
		l.byKey[h.hash] = l.recent.PushFront(h)
	}
	most, longest := 1, time.Duration(0)
	for _, r := range lim.rates {
		most, longest = max(most, r.Times), max(longest, r.Per)
	}
	before := len(h.times)
	h.times = append(h.times, now)
	for len(h.times) > most || now-h.times[0] > longest {
		h.times = slices.Delete(h.times, 0, 1)
	}
	l.times += len(h.times) - before
}

func (l *limiter) remove(e *list.Element) {
	h := l.recent.Remove(e).(*history)
	delete(l.byKey, h.hash)
	l.times -= len(h.times)
}

// refund forgets the last event under a key.
func (l *limiter) refund(key limitKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.find(key)
	if h == nil {
		return
	}
	if len(h.times) == 1 {
		l.remove(l.byKey[h.hash])
		return
	}
	h.times = h.times[:len(h.times)-1]
	l.times--
}

// forget forgets a key.
func (l *limiter) forget(key limitKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.byKey[maphash.Comparable(l.seed, key)]; ok {
		l.remove(e)
	}
}

// has reports whether a key has events.
func (l *limiter) has(key limitKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(key) != nil
}

// TooSoonError is the error of a throttled request.
type TooSoonError struct{ Wait time.Duration }

func (e *TooSoonError) Error() string { return "asked too often" }

// allow counts a request to an endpoint for the networks of the client, and a change
// of an account's fields also for the account.
func (a *Service) allow(endpoint string, c Client, acc *Account) error {
	rates := a.Rates.endpoint(endpoint)
	if len(rates) == 0 {
		return nil
	}
	var limits []limit
	for _, s := range networksOf(c.Address) {
		limits = append(limits, limit{limitKey{"address", endpoint, s.network}, s.rates(rates)})
	}
	if endpoint == "me" && acc != nil {
		limits = append(limits, limit{limitKey{"me", strconv.FormatUint(acc.ID, 10)}, pairRates})
	}
	return a.throttle(limits...)
}

func (a *Service) throttle(limits ...limit) error {
	if wait, ok := a.Throttles.requests.allow(limits...); !ok {
		return &TooSoonError{wait}
	}
	return nil
}

// allowPair counts a request to an endpoint for the pair of an account, as the client
// names it, and the client's network. The account need not exist.
func (a *Service) allowPair(endpoint, name string, c Client) error {
	return a.throttle(a.pairLimit(endpoint, name, c)...)
}

func (a *Service) pairLimit(endpoint, name string, c Client) []limit {
	if len(a.Rates.endpoint(endpoint)) == 0 {
		return nil
	}
	return []limit{{pairKey(endpoint, name, c), pairRates}}
}

func pairKey(endpoint, name string, c Client) limitKey {
	return limitKey{endpoint, network(c.Address), name}
}

// subnet is a network that requests of a client count for. Wider networks are allowed
// more, since they have more clients.
type subnet struct {
	network string
	times   int // factor for the rate of one client
}

// networksOf returns the networks of a client's address, the narrowest first. Most
// sites have an IPv6 /56 or /48, so that a limit on /64 alone is none; IPv4 is rented
// by the /24.
func networksOf(address string) []subnet {
	a, ok := clientAddr(address)
	switch {
	case !ok:
		return []subnet{{"", 1}}
	case a.Is4():
		return []subnet{{a.String(), 1}, {masked(a, 24), 8}}
	}
	return []subnet{{masked(a, 64), 1}, {masked(a, 56), 4}, {masked(a, 48), 16}}
}

// rates multiplies the rates of one client for the network.
func (s subnet) rates(of []Rate) []Rate {
	if s.times == 1 {
		return of
	}
	wider := make([]Rate, len(of))
	for i, r := range of {
		wider[i] = Rate{min(r.Times*s.times, maxTimes/2), r.Per}
	}
	return wider
}

// network returns the network of one client: an IPv4 address, or an IPv6 /64. All
// clients without an address, such as those of a Unix socket, are one.
func network(address string) string { return networksOf(address)[0].network }

// neighbourhood returns the widest network of a client.
func neighbourhood(address string) string {
	all := networksOf(address)
	return all[len(all)-1].network
}

// clientAddr parses an address. It returns the IPv4 address of one that embeds it.
func clientAddr(address string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return a, false
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a, true
	}
	b := a.As16()
	switch {
	case nat64.Contains(a): // RFC 6052
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(a): // RFC 3056
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case teredo.Contains(a): // RFC 4380, which inverts the bits
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), true
	}
	return a, true
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
	teredo    = netip.MustParsePrefix("2001::/32")
)

func masked(a netip.Addr, bits int) string { return netip.PrefixFrom(a, bits).Masked().String() }

// Source returns the wide network of a client that requests mails, by which mails take
// turns.
func Source(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap()
	bits := 24
	if ip.Is6() {
		bits = 48
	}
	network, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return network.String()
}
