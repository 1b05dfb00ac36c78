package settings

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// JWT turns on JSON Web Tokens as simplejwt makes them, at /jwt/ of djoser 2's
// layout. Names and defaults are those of its SIMPLE_JWT.
type JWT struct {
	// Access is the lifetime of access tokens, at most that of refresh tokens. It bounds
	// how long a back end that checks tokens alone takes those of a log-in that has ended.
	// Default: 5 minutes. Source: ACCESS_TOKEN_LIFETIME.
	Access caddy.Duration `json:"access,omitempty"`

	// Refresh is the lifetime of refresh tokens, and with it of a log-in. Default: 1 day.
	// Source: REFRESH_TOKEN_LIFETIME.
	Refresh caddy.Duration `json:"refresh,omitempty"`

	// Rotate makes each refresh answer with a new refresh token. The one before is good
	// for another 10 seconds; after that its use ends the log-in. Default: off. Source:
	// ROTATE_REFRESH_TOKENS with BLACKLIST_AFTER_ROTATION.
	Rotate bool `json:"rotate,omitempty"`

	// HeaderTypes are the words that may precede an access token in an Authorization
	// header, with case. Default: Bearer. Source: AUTH_HEADER_TYPES.
	HeaderTypes []string `json:"header_types,omitempty"`

	// Algorithm is ES256, with keys that the realm makes and shows at
	// /.well-known/jwks.json, or HS256 with Key. Default: ES256. Source: ALGORITHM.
	Algorithm string `json:"algorithm,omitempty"`

	// Key is the key for HS256, at least 32 bytes. Who has it can make tokens for every
	// account. Required with HS256. Source: SIGNING_KEY.
	Key string `json:"key,omitempty"`

	// Issuer is the claim iss. Default: none. Source: ISSUER.
	Issuer string `json:"issuer,omitempty"`
}

const (
	defaultAccess  = 5 * time.Minute
	defaultRefresh = 24 * time.Hour
)

func (s *JWT) unmarshal(d *caddyfile.Dispenser) error {
	return directive.OptionalBlock(d, func(name string) error {
		switch name {
		case "access":
			return directive.DurationArg(d, &s.Access)
		case "refresh":
			return directive.DurationArg(d, &s.Refresh)
		case "rotate":
			return directive.SwitchArg(d, &s.Rotate)
		case "header_types":
			return directive.CheckedListArg(d, &s.HeaderTypes, checkHeaderType)
		case "algorithm":
			return directive.CheckedArg(d, &s.Algorithm, checkAlgorithm)
		case "key":
			return directive.TextArg(d, &s.Key)
		case "issuer":
			return directive.TextArg(d, &s.Issuer)
		}
		return directive.Unknown(d, name, "jwt", "access", "refresh", "rotate", "header_types", "algorithm", "key", "issuer")
	})
}

func checkHeaderType(name string) error {
	if schemeName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("jwt header_types: %q is not the name of a scheme", name)
}

func checkAlgorithm(name string) error {
	if name == jwt.ES256 || name == jwt.HS256 {
		return nil
	}
	return fmt.Errorf("jwt algorithm is %s: it must be %s, or %s with key", name, jwt.ES256, jwt.HS256)
}

// setDefaults sets the defaults, and replaces placeholders.
func (s *JWT) setDefaults() (err error) {
	if s.Access == 0 {
		s.Access = caddy.Duration(defaultAccess)
	}
	if s.Refresh == 0 {
		s.Refresh = caddy.Duration(defaultRefresh)
	}
	if s.HeaderTypes == nil {
		s.HeaderTypes = []string{"Bearer"}
	}
	if s.Algorithm == "" {
		s.Algorithm = jwt.ES256
	}
	if s.Key, err = directive.Expand("jwt key", s.Key); err != nil {
		return err
	}
	s.Issuer, err = directive.Expand("jwt issuer", s.Issuer)
	return err
}

// validate checks the settings. It expects defaults and values of placeholders.
func (s *JWT) validate() error {
	access, refresh := time.Duration(s.Access), time.Duration(s.Refresh)
	switch {
	case access < time.Second:
		return fmt.Errorf("jwt access is %s: it must be at least a second", access)
	case access > refresh:
		return fmt.Errorf("jwt access is %s, longer than refresh, which is %s: take a shorter one", access, refresh)
	case access > jwt.Period:
		return fmt.Errorf("jwt access is %s: it must be at most %s, since keys change", access, jwt.Period)
	case len(s.HeaderTypes) == 0:
		return errors.New("jwt header_types is empty: name one, such as Bearer")
	case s.Algorithm == jwt.HS256 && s.Key == "":
		return errors.New("jwt algorithm HS256 needs the line 'key' with the key that is shared, such as key {env.JWT_KEY}")
	case s.Algorithm == jwt.HS256 && len(s.Key) < jwt.MinSharedKey:
		return fmt.Errorf("jwt key has %d bytes: it must have at least %d, or it could be guessed", len(s.Key), jwt.MinSharedKey)
	case s.Algorithm != jwt.HS256 && s.Key != "":
		return errors.New("jwt key is for algorithm HS256 alone: with ES256 the realm makes its keys")
	}
	if err := checkAlgorithm(s.Algorithm); err != nil {
		return err
	}
	for i, name := range s.HeaderTypes {
		if err := checkHeaderType(name); err != nil {
			return err
		}
		if slices.Contains(s.HeaderTypes[:i], name) {
			return fmt.Errorf("jwt header_types: duplicate %s", name)
		}
	}
	return nil
}

// NewIssuer returns what makes the tokens of a realm with these keys.
func (s *JWT) NewIssuer(keys *jwt.Keys) *jwt.Issuer {
	if s.Algorithm == jwt.HS256 {
		keys = jwt.NewSharedKey([]byte(s.Key), keys.Now)
	}
	return &jwt.Issuer{Keys: keys, Name: s.Issuer, Access: time.Duration(s.Access)}
}
