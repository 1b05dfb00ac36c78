package social

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// State is what the begin of a log-in passes to its end, through the browser and the
// provider. It is signed, so that nothing has to be stored. The nonce and the verifier of
// PKCE (RFC 7636) are made of its id with the secret key: who sees the state can't make
// them.
type State struct {
	Provider    string `json:"p"`
	RedirectURI string `json:"r"`
	ID          string `json:"i"` // random
	Made        int64  `json:"t"` // Unix time
	Browser     string `json:"b"` // digest of the browser's cookie
	Account     uint64 `json:"a,omitempty"`
	Next        string `json:"n,omitempty"`
}

// StateTTL is how long a state is good.
const StateTTL = 10 * time.Minute

// maxSetBack is how far the clock may be set back while somebody logs in.
const maxSetBack = time.Minute

// maxState is the maximum length of a state in bytes.
const maxState = 8 << 10

func newState(p *Provider, s Start) *State {
	return &State{
		Provider: p.Name, RedirectURI: s.RedirectURI, ID: rand.Text(), Made: p.now().Unix(),
		Browser: digest(s.Browser), Account: s.Account, Next: s.Next,
	}
}

// digest is what a state has of the cookie: who sees the state still lacks the cookie.
func digest(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (s *State) isOf(cookie string) bool { return sameText(s.Browser, digest(cookie)) }

func (s *State) isFresh(now time.Time) bool {
	age := now.Sub(time.Unix(s.Made, 0))
	return age < StateTTL && age > -maxSetBack
}

func (s *State) nonce(key []byte) string    { return sign(key, "nonce", s.ID) }
func (s *State) verifier(key []byte) string { return sign(key, "verifier", s.ID) }

func (s *State) sign(key []byte) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // it has only texts and numbers
	}
	payload := base64.RawURLEncoding.EncodeToString(text)
	return payload + "." + sign(key, "state", payload)
}

// parseState returns a state that was signed with the key, however old. Errors: ErrState.
func parseState(key []byte, text string) (*State, error) {
	payload, signature, _ := strings.Cut(text, ".")
	if len(text) > maxState || !sameText(signature, sign(key, "state", payload)) {
		return nil, ErrState
	}
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	s := new(State)
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	return s, nil
}

// LinkToken returns what a page's link to begin with a provider has, so that no page of
// another site can make somebody link who is logged in. login is that of the browser.
func LinkToken(key []byte, provider, login string) string {
	return sign(key, "link", provider+" "+login)
}

// IsLinkToken checks a LinkToken in constant time.
func IsLinkToken(key []byte, provider, login, token string) bool {
	return sameText(token, LinkToken(key, provider, login))
}

// sign returns an HMAC-SHA256 for a purpose.
func sign(key []byte, purpose, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(binary.AppendUvarint(nil, uint64(len(purpose))))
	mac.Write([]byte(purpose + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// used are the states that were used. Providers take a code only once, too; this also
// holds for those that don't.
type used struct {
	mu    sync.Mutex
	until map[string]time.Time // by id
}

// maxUsed is how many states are remembered. More than people can use are attempts to
// fill the memory, with codes that the provider refuses.
const maxUsed = 100_000

// take marks a state as used, and reports whether it wasn't before.
func (u *used) take(id string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, found := u.until[id]; found {
		return false
	}
	if len(u.until) >= maxUsed {
		for other, until := range u.until {
			if now.After(until) {
				delete(u.until, other)
			}
		}
	}
	if u.until == nil {
		u.until = make(map[string]time.Time)
	}
	if len(u.until) < maxUsed {
		u.until[id] = now.Add(StateTTL + maxSetBack)
	}
	return true
}

func (u *used) giveBack(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.until, id)
}
