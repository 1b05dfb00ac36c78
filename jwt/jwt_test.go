package jwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

var (
	secret = bytes.Repeat([]byte{7}, 32)
	start  = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
)

// issuersAt are issuers of both algorithms whose clock is now.
func issuersAt(now *time.Time) map[string]*Issuer {
	read := func() time.Time { return *now }
	return map[string]*Issuer{
		ES256: {Keys: NewKeys(secret, read), Access: 5 * time.Minute},
		HS256: {Keys: NewSharedKey(secret, read), Access: 5 * time.Minute, Name: "https://a.example"},
	}
}

func newAccess(t testing.TB, i *Issuer) string {
	t.Helper()
	token, err := i.NewAccess(NewSession(), 7)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokensAreCheckedAsTheyWereMade(t *testing.T) {
	now := start
	for algorithm, issuer := range issuersAt(&now) {
		session := NewSession()
		token, err := issuer.NewAccess(session, 7)
		if err != nil {
			t.Fatal(err)
		}
		c, err := issuer.Check(token)
		if err != nil || c.Type != Access || c.Session() != session || c.User != 7 || c.Issuer != issuer.Name || !c.ExpiresAt().Equal(start.Add(5*time.Minute)) {
			t.Errorf("%s: %+v, %v", algorithm, c, err)
		}
		if token, err = issuer.NewRefresh(session, 7, 4_000_000_000, start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		c, err = issuer.Check(token)
		if err != nil || c.Type != Refresh || c.Session() != session || c.Generation() != 4_000_000_000 {
			t.Errorf("%s: %+v, %v", algorithm, c, err)
		}
	}
}

// part decodes a part of a token.
func part(t *testing.T, token string, n int) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// withPart returns the token with another part.
func withPart(token string, n int, text string) string {
	parts := strings.Split(token, ".")
	parts[n] = base64.RawURLEncoding.EncodeToString([]byte(text))
	return strings.Join(parts, ".")
}

func TestClaimsAreThoseOfSimpleJWT(t *testing.T) {
	now := start
	token, err := issuersAt(&now)[ES256].NewAccess(strings.Repeat("a", SessionLength), 7)
	if err != nil {
		t.Fatal(err)
	}
	if header := part(t, token, 0); !strings.HasPrefix(header, `{"alg":"ES256","kid":"`) || !strings.HasSuffix(header, `","typ":"JWT"}`) {
		t.Errorf("header %s", header)
	}
	const before, after = `{"token_type":"access","exp":1795867500,"iat":1795867200,"jti":"aaaaaaaaaaaaaaaaaaaaaaaa`, `","user_id":7}`
	if claims := part(t, token, 1); !strings.HasPrefix(claims, before) || !strings.HasSuffix(claims, after) {
		t.Errorf("claims %s", claims)
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	now := start
	issuers := issuersAt(&now)
	own := issuers[ES256]
	token := newAccess(t, own)
	claims, none := part(t, token, 1), withPart(withPart(token, 0, `{"alg":"none"}`), 2, "")
	key, err := own.Keys.of(periodOf(now))
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	signed := func(key []byte) string {
		text, err := NewSharedKey(key, own.Keys.Now).Sign(json.RawMessage(claims))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	other := &Issuer{Keys: NewKeys(bytes.Repeat([]byte{8}, 32), own.Keys.Now), Access: time.Minute}
	last := token[len(token)-1:]
	for name, forged := range map[string]string{
		"no signature":                      none,
		"no signature at all":               strings.TrimSuffix(none, "."),
		"signed with the public key":        signed(public),
		"signed with the public point":      signed(point),
		"signed with the secret":            signed(secret),
		"of another realm":                  newAccess(t, other),
		"of another algorithm":              newAccess(t, issuers[HS256]),
		"another account":                   withPart(token, 1, strings.Replace(claims, `"user_id":7`, `"user_id":1`, 1)),
		"another account, too":              withPart(token, 1, strings.Replace(claims, `}`, `,"user_id":1}`, 1)),
		"an empty signature":                withPart(token, 2, ""),
		"a signature of zeros":              withPart(token, 2, string(make([]byte, 64))),
		"another last character":            strings.TrimSuffix(token, last) + string(rune(last[0]^1)),
		"a fourth part":                     token + ".",
		"padding":                           token + "=",
		"as JSON":                           `{"payload":"` + strings.Split(token, ".")[1] + `","signatures":[]}`,
		"a key of its own":                  withPart(token, 0, `{"alg":"ES256","jwk":{"kty":"oct","k":"AA"}}`),
		"a critical header":                 withPart(token, 0, `{"alg":"ES256","crit":["exp"],"exp":1}`),
		"too long":                          token + strings.Repeat("A", maxToken),
		"nothing":                           "",
		"dots":                              "..",
		"an auth token":                     strings.Repeat("a", 40),
		"with the time of another key":      withPart(token, 1, strings.Replace(claims, `"iat":1795867200`, `"iat":1`, 1)),
		"with a time in the far future":     withPart(token, 1, strings.Replace(claims, `"iat":1795867200`, `"iat":9999999999`, 1)),
		"with a time that is no number":     withPart(token, 1, strings.Replace(claims, `"iat":1795867200`, `"iat":"x"`, 1)),
		"with a time that is no whole one":  withPart(token, 1, strings.Replace(claims, `"exp":`, `"exp":1e300,"x":`, 1)),
		"with claims that are no object":    withPart(token, 1, `[]`),
		"with claims that aren't even JSON": withPart(token, 1, `{`),
	} {
		if c, err := own.Check(forged); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	// The HMAC of claims under a public key, where ES256 is expected, is the oldest trick;
	// the other way round there is no key to be taken for another.
	if _, err := issuers[HS256].Check(token); !errors.Is(err, ErrInvalid) {
		t.Error("HS256 takes ES256:", err)
	}
}

// Signed by us, but for something else.
func TestOtherTokensOfTheRealmAreNoneOfThese(t *testing.T) {
	now := start
	i := issuersAt(&now)[ES256]
	good := Claims{Type: Access, Expires: now.Unix() + 60, Issued: now.Unix(), ID: strings.Repeat("a", idLength), User: 7}
	for name, change := range map[string]func(*Claims){
		"another type":     func(c *Claims) { c.Type = "sliding" },
		"another issuer":   func(c *Claims) { c.Issuer = "https://b.example" },
		"a shorter id":     func(c *Claims) { c.ID = c.ID[1:] },
		"an id in capital": func(c *Claims) { c.ID = strings.ToUpper(c.ID) },
		"no time":          func(c *Claims) { c.Issued = 0 },
		"":                 func(*Claims) {},
	} {
		claims := good
		change(&claims)
		token, err := i.Keys.Sign(&claims)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.Check(token); errors.Is(err, ErrInvalid) != (name != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokensExpireAndKeysChange(t *testing.T) {
	now := start
	for algorithm, i := range issuersAt(&now) {
		now = start
		access := newAccess(t, i)
		refresh, err := i.NewRefresh(NewSession(), 7, 1, start.Add(3*Period))
		if err != nil {
			t.Fatal(err)
		}
		for after, good := range map[time.Duration]bool{
			0: true, 5*time.Minute + time.Second - 1: true, 5*time.Minute + time.Second: false, -maxAhead: true, -maxAhead - time.Second: false,
		} {
			now = start.Add(after)
			if _, err := i.Check(access); (err == nil) != good {
				t.Errorf("%s, after %s: %v", algorithm, after, err)
			}
		}
		now = start.Add(3 * Period) // longer than the key set has the key
		if _, err := i.Check(refresh); err != nil {
			t.Errorf("%s: a refresh token isn't good until it expires: %v", algorithm, err)
		}
		now = start.Add(3*Period + time.Second)
		if _, err := i.Check(refresh); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: a refresh token is good after it expired: %v", algorithm, err)
		}
	}
}

// A back end that has the key set needs nothing else, also at the turn of a period.
func TestTheKeySetChecksTokensOfItsTime(t *testing.T) {
	now := time.Unix(700*int64(Period/time.Second), 0).Add(-time.Second)
	i := issuersAt(&now)[ES256]
	before, err := i.Keys.Set()
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, time.Second, Period - time.Second} {
		now = now.Add(after)
		token := newAccess(t, i)
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		keys := before.Key(signed.Signatures[0].Header.KeyID)
		if len(keys) != 1 {
			t.Fatalf("after %s: %d keys", after, len(keys))
		}
		if _, err := signed.Verify(keys[0].Key); err != nil || !keys[0].IsPublic() {
			t.Errorf("after %s: %v", after, err)
		}
	}
	text, err := json.Marshal(before)
	if err != nil || strings.Contains(string(text), `"d"`) || strings.Count(string(text), `"kid"`) != 3 {
		t.Errorf("%s, %v", text, err)
	}
	if shared, err := issuersAt(&now)[HS256].Keys.Set(); err != nil || len(shared.Keys) != 0 {
		t.Errorf("a shared key is shown: %v, %v", shared, err)
	}
}

func TestTheSameSecretGivesTheSameKeys(t *testing.T) {
	now := start
	token := newAccess(t, issuersAt(&now)[ES256])
	if _, err := issuersAt(&now)[ES256].Check(token); err != nil {
		t.Error(err)
	}
}

// Times come from clients. They can't fill the memory with keys.
func TestFewKeysAreRemembered(t *testing.T) {
	now := start
	i := issuersAt(&now)[ES256]
	token := newAccess(t, i)
	claims := part(t, token, 1)
	for n := range int64(3 * maxDerived) {
		issued, _ := json.Marshal(now.Add(-time.Duration(n) * Period).Unix())
		if _, err := i.Check(withPart(token, 1, strings.Replace(claims, "1795867200", string(issued), 1))); (err == nil) != (n == 0) {
			t.Fatal(n, err)
		}
	}
	if n := len(i.Keys.derived); n > maxDerived {
		t.Errorf("%d keys", n)
	}
}

func FuzzCheck(f *testing.F) {
	now := start
	issuers := issuersAt(&now)
	for _, i := range issuers {
		f.Add(newAccess(f, i))
	}
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		for name, i := range issuers {
			c, err := i.Check(token)
			if err == nil && (c.Session() == "" || c.ExpiresAt().Before(now)) || err != nil && !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %+v, %v", name, c, err)
			}
		}
	})
}

// BenchmarkCheck is what an unknown token costs, beside the check of its signature alone.
func BenchmarkCheck(b *testing.B) {
	i := issuersAt(new(time.Time))[ES256]
	i.Keys.Now = time.Now
	token := newAccess(b, i)
	b.Run("token", func(b *testing.B) {
		for b.Loop() {
			if _, err := i.Check(token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("signature alone", func(b *testing.B) {
		key, err := i.Keys.of(periodOf(time.Now()))
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.Sum256([]byte(token))
		r, s, err := ecdsa.Sign(rand.Reader, key.private, sum[:])
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if !ecdsa.Verify(&key.private.PublicKey, sum[:], r, s) {
				b.Fatal("wrong")
			}
		}
	})
}
