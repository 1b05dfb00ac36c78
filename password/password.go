// Package password makes and checks password hashes in the encodings of
// Django's password hashers, and applies Django's password validators.
//
// New hashes are Argon2id. Hashes of Django's other formats are checked as
// well, so that accounts can move in with their passwords, and are told to be
// weak, so that they are rewritten at the next login.
package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2id has the parameters of new hashes (RFC 9106).
type Argon2id struct {
	// Memory in KiB. Default: 19456, which is 19 MiB.
	Memory uint32 `json:"memory,omitempty"`

	// Iterations is the number of passes over the memory. Default: 2.
	Iterations uint32 `json:"iterations,omitempty"`

	// Parallelism is the number of lanes. Default: 1.
	Parallelism uint8 `json:"parallelism,omitempty"`
}

// Default has the parameters that OWASP's Password Storage Cheat Sheet gives
// for Argon2id.
var Default = Argon2id{Memory: 19 * 1024, Iterations: 2, Parallelism: 1}

const (
	saltLength = 16 // bytes, as RFC 9106 recommends
	keyLength  = 32 // bytes
)

// Bounds on what a hash may cost. A stored hash says by itself how much work
// it is to check, and may come from an import: without bounds, one record
// could stop the server.
const (
	maxEncoded     = 1024      // bytes of a stored hash
	maxMemory      = 256 << 10 // KiB: two and a half times Django's default
	maxIterations  = 64        // passes of Argon2
	maxParallelism = 32        // lanes of Argon2
	maxKey         = 128       // bytes of a raw hash
)

// Errors of Verify. A hash that can't be checked matches no password.
var (
	// ErrFormat means that the stored hash is of no known format, or broken.
	ErrFormat = errors.New("unknown format of password hash")

	// ErrCost means that the stored hash asks for more work than is allowed.
	ErrCost = errors.New("password hash asks for too much work")
)

// Validate returns an error for parameters that Argon2 doesn't allow, or that
// are beyond what Verify accepts.
func (a Argon2id) Validate() error {
	switch {
	case a.Parallelism < 1 || a.Parallelism > maxParallelism:
		return fmt.Errorf("parallelism is %d: it must be from 1 to %d", a.Parallelism, maxParallelism)
	case a.Iterations < 1 || a.Iterations > maxIterations:
		return fmt.Errorf("iterations is %d: it must be from 1 to %d", a.Iterations, maxIterations)
	case a.Memory < 8*uint32(a.Parallelism) || a.Memory > maxMemory:
		return fmt.Errorf("memory is %d KiB: it must be from 8 KiB for each lane to %d KiB", a.Memory, maxMemory)
	}
	return nil
}

// Hash makes a hash with a new salt, in the encoding of Django's
// Argon2PasswordHasher.
func (a Argon2id) Hash(password string) (string, error) {
	salt := make([]byte, saltLength)
	rand.Read(salt) // never fails; see crypto/rand
	key := argon2.IDKey([]byte(password), salt, a.Iterations, a.Memory, a.Parallelism, keyLength)
	return fmt.Sprintf("argon2$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.Memory, a.Iterations, a.Parallelism,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// Dummy does the work of a Verify and forgets it, so that an account that
// isn't there costs what one does that is.
func (a Argon2id) Dummy(password string) {
	argon2.IDKey([]byte(password), make([]byte, saltLength), a.Iterations, a.Memory, a.Parallelism, keyLength)
}

// Verify checks a password against a stored hash of any of Django's formats,
// in constant time. weak says that the password is right, and that its hash
// should be made anew: it is of another format, or costs less than one of a.
func (a Argon2id) Verify(encoded, password string) (ok, weak bool, err error) {
	if len(encoded) > maxEncoded {
		return false, false, ErrFormat
	}
	algorithm, rest, found := strings.Cut(encoded, "$")
	if !found || !Usable(encoded) {
		return false, false, ErrFormat
	}
	if algorithm == "argon2" {
		return a.verifyArgon2(rest, password)
	}
	verify, known := legacy[algorithm]
	if !known {
		return false, false, ErrFormat
	}
	ok, err = verify(rest, password)
	return ok, ok, err
}

func (a Argon2id) verifyArgon2(encoded, password string) (ok, weak bool, err error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 5 || parts[1] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, false, ErrFormat
	}
	var p Argon2id
	if n, err := fmt.Sscanf(parts[2], "m=%d,t=%d,p=%d", &p.Memory, &p.Iterations, &p.Parallelism); err != nil || n != 3 {
		return false, false, ErrFormat
	}
	if p.Validate() != nil {
		return false, false, ErrCost
	}
	salt, errSalt := base64.RawStdEncoding.DecodeString(parts[3])
	key, errKey := base64.RawStdEncoding.DecodeString(parts[4])
	if errSalt != nil || errKey != nil || len(key) < 4 || len(key) > maxKey {
		return false, false, ErrFormat
	}
	var got []byte
	switch parts[0] {
	case "argon2id":
		got = argon2.IDKey([]byte(password), salt, p.Iterations, p.Memory, p.Parallelism, uint32(len(key)))
	case "argon2i":
		got = argon2.Key([]byte(password), salt, p.Iterations, p.Memory, p.Parallelism, uint32(len(key)))
	default: // argon2d is open to side channels, and no default of anything
		return false, false, ErrFormat
	}
	ok = subtle.ConstantTimeCompare(got, key) == 1
	weaker := parts[0] != "argon2id" || p.Memory < a.Memory || p.Iterations < a.Iterations || len(key) < keyLength
	return ok, ok && weaker, nil
}

// Usable tells whether any password can match a stored hash: not if it is
// empty, or what Django's set_unusable_password leaves.
func Usable(encoded string) bool {
	return encoded != "" && !strings.HasPrefix(encoded, "!")
}

// Unusable makes what Django's set_unusable_password stores.
func Unusable() string { return "!" + rand.Text() + rand.Text()[:14] }
