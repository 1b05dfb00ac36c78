// Package password makes and checks password hashes in the encodings of Django's
// password hashers, bounds how many passwords are hashed at once, and applies Django's
// password validators.
//
// New hashes are Argon2id. Hashes in Django's other formats are checked too, so that
// imported accounts keep their passwords, and are reported as weak, so that the next
// log-in replaces them:
//
//	argon2$argon2id$v=19$m=19456,t=2,p=1$salt$hash   also argon2i
//	pbkdf2_sha256$iterations$salt$hash               also pbkdf2_sha1
//	bcrypt_sha256$$2b$12$salthash                    also bcrypt
//	scrypt$n$salt$r$p$hash
//
// Django's older formats (MD5, SHA-1, crypt) are too weak to accept, and
// golang.org/x/crypto has neither Argon2 1.0 (v=16, or no v=) nor Argon2d. All of these
// are unknown formats here.
package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2id has the parameters of new hashes (RFC 9106). The zero value is invalid;
// start from Default.
type Argon2id struct {
	// Memory that one hash takes, in KiB. Default: 19456, which is 19 MiB.
	Memory uint32 `json:"memory,omitempty"`

	// Iterations is the number of passes over the memory. Default: 2.
	Iterations uint32 `json:"iterations,omitempty"`

	// Parallelism is the number of lanes, each of which may use a processor.
	// Default: 1, since other log-ins use the other processors.
	Parallelism uint8 `json:"parallelism,omitempty"`
}

// Default has the parameters that OWASP's Password Storage Cheat Sheet recommends for
// Argon2id. One hash takes about 30 ms of a processor.
var Default = Argon2id{Memory: 19 * 1024, Iterations: 2, Parallelism: 1}

// keyLength is the length of a new raw hash in bytes, the same as Django's.
const keyLength = 32

// weakSalt is the minimum length of a salt in bytes (RFC 9106, section 3.1). New salts
// have 26.
const weakSalt = 16

// Bounds on the parameters of new and stored hashes. Django's parameters are 100 MiB, 2
// and 8.
const (
	// maxMemory is 256 MiB, in KiB. Each worker of a pool may take it at once.
	maxMemory = 256 << 10

	// maxIterations bounds the passes over little memory.
	maxIterations = 64

	// maxParallelism bounds the goroutines of a hash.
	maxParallelism = 32

	// laneMemory is what Argon2 needs for each lane, in KiB.
	laneMemory = 8

	// maxWork is 2 GiB over all passes, in KiB: about two seconds of a processor,
	// ten times the cost of Django's parameters.
	maxWork = 2 << 20
)

// Validate returns an error for parameters that Argon2 doesn't allow, or that Verify
// would refuse in a stored hash. The error says what to use instead.
func (a Argon2id) Validate() error {
	least := laneMemory * uint32(a.Parallelism)
	switch {
	case a.Parallelism < 1 || a.Parallelism > maxParallelism:
		return fmt.Errorf("parallelism of Argon2id is %d: it must be from 1 to %d; 1 is right for a server", a.Parallelism, maxParallelism)
	case a.Iterations < 1 || a.Iterations > maxIterations:
		return fmt.Errorf("iterations of Argon2id is %d: it must be from 1 to %d; raise the memory first", a.Iterations, maxIterations)
	case a.Memory < least || a.Memory > maxMemory:
		return fmt.Errorf("memory of Argon2id is %d KiB: it must be from %d KiB to %d KiB; use %d KiB or more", a.Memory, least, maxMemory, Default.Memory)
	case uint64(a.Memory)*uint64(a.Iterations) > maxWork:
		return fmt.Errorf("memory of Argon2id times iterations is %d KiB: it must be at most %d KiB, which takes about two seconds a hash",
			uint64(a.Memory)*uint64(a.Iterations), maxWork)
	}
	return nil
}

// Weak reports whether a hash costs less than all recommendations of OWASP's Password
// Storage Cheat Sheet. The one with the least memory is 7 MiB with 5 iterations.
func (a Argon2id) Weak() bool {
	return a.Memory < 7<<10 || uint64(a.Memory)*uint64(a.Iterations) < 5*7<<10
}

// Hash returns a hash with a new salt, in the encoding of Django's
// Argon2PasswordHasher. It has at most 119 characters; Django's column holds 128. It
// fails only with invalid parameters.
//
// The salt is text, as in Django: 130 random bits in 26 characters, which pass Django's
// check of the salt's entropy.
func (a Argon2id) Hash(password string) (string, error) {
	if err := a.Validate(); err != nil {
		return "", err
	}
	salt := []byte(rand.Text())
	key := a.key(password, salt, keyLength)
	return a.head() + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(key), nil
}

// head returns the beginning of every hash with these parameters.
func (a Argon2id) head() string {
	return fmt.Sprintf("argon2$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, a.Memory, a.Iterations, a.Parallelism)
}

// Made reports whether a stored hash has these parameters, and so takes the same work
// as a new one.
func (a Argon2id) Made(encoded string) bool { return strings.HasPrefix(encoded, a.head()) }

// Dummy does the same work as Verify for a new hash. Call it if there is no account, or
// if its hash can't be checked, so that this takes the same time. With invalid
// parameters it does nothing.
func (a Argon2id) Dummy(password string) {
	if a.Validate() == nil {
		a.key(password, make([]byte, weakSalt), keyLength)
	}
}

// key returns a raw hash. Each call allocates the memory anew, since the library can't
// reuse it. A Pool bounds how much is in use.
func (a Argon2id) key(password string, salt []byte, length uint32) []byte {
	return argon2.IDKey([]byte(password), salt, a.Iterations, a.Memory, a.Parallelism, length)
}

// maxEncoded is the maximum length of a stored hash in bytes. Django's column holds 128,
// but some projects have longer salts.
const maxEncoded = 1024

// minKey and maxKey are the limits of a raw Argon2 or scrypt hash in bytes. Django's have
// 16, 32 or 64. A hash of a few bytes would match many passwords.
const (
	minKey = 16
	maxKey = 128
)

// Errors of Verify.
var (
	// ErrUnknownFormat means that a stored hash has an unknown format, is malformed,
	// or is unusable.
	ErrUnknownFormat = errors.New("unknown format of password hash")

	// ErrCost means that a stored hash takes more work than is allowed. A hash says
	// how much work it takes, and may come from an import: without bounds, one
	// account could stop the server.
	ErrCost = errors.New("password hash asks for too much work")
)

// Verify checks a password against a stored hash of any known format, in constant time.
// weak reports that the password is right, but its hash should be replaced: it has
// another format than new ones, or costs less.
//
// No stored hash makes it panic, or work for more than about two seconds. An error,
// which is ErrUnknownFormat or ErrCost, is returned at once; call Dummy then, so that the
// time doesn't tell what is stored.
func (a Argon2id) Verify(encoded, password string) (ok, weak bool, err error) {
	if len(encoded) > maxEncoded {
		return false, false, ErrUnknownFormat
	}
	algorithm, rest, _ := strings.Cut(encoded, "$")
	if algorithm == argon2Name {
		return a.verifyArgon2(rest, password)
	}
	verify, known := legacy[algorithm]
	if !known {
		return false, false, ErrUnknownFormat
	}
	ok, err = verify(rest, password)
	return ok, ok, err
}

// verifyArgon2 checks variant$v=19$m=…,t=…,p=…$salt$hash.
func (a Argon2id) verifyArgon2(encoded, password string) (ok, weak bool, err error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 5 || parts[1] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, false, ErrUnknownFormat
	}
	stored, err := parseCosts(parts[2])
	if err != nil {
		return false, false, err
	}
	salt, errSalt := base64.RawStdEncoding.DecodeString(parts[3])
	want, errKey := base64.RawStdEncoding.DecodeString(parts[4])
	if errSalt != nil || errKey != nil || len(want) < minKey || len(want) > maxKey {
		return false, false, ErrUnknownFormat
	}
	var got []byte
	switch parts[0] {
	case "argon2id":
		got = stored.key(password, salt, uint32(len(want)))
	case "argon2i":
		got = argon2.Key([]byte(password), salt, stored.Iterations, stored.Memory, stored.Parallelism, uint32(len(want)))
	default:
		return false, false, ErrUnknownFormat
	}
	ok = subtle.ConstantTimeCompare(got, want) == 1
	weak = parts[0] != "argon2id" || stored.Memory < a.Memory || stored.Iterations < a.Iterations ||
		len(want) < keyLength || len(salt) < weakSalt
	return ok, ok && weak, nil
}

// parseCosts parses the parameters of a stored hash. It refuses those beyond the bounds.
func parseCosts(s string) (Argon2id, error) {
	parts := strings.Split(s, ",")
	if len(parts) != 3 {
		return Argon2id{}, ErrUnknownFormat
	}
	var costs [3]uint64
	for i, name := range []string{"m=", "t=", "p="} {
		digits, found := strings.CutPrefix(parts[i], name)
		n, ok := number(digits)
		if !found || !ok {
			return Argon2id{}, ErrUnknownFormat
		}
		costs[i] = n
	}
	m, t, p := costs[0], costs[1], costs[2]
	if m > maxMemory || t > maxIterations || p > maxParallelism || m*t > maxWork {
		return Argon2id{}, ErrCost
	}
	a := Argon2id{Memory: uint32(m), Iterations: uint32(t), Parallelism: uint8(p)}
	if a.Validate() != nil { // less than Argon2 allows
		return Argon2id{}, ErrUnknownFormat
	}
	return a, nil
}

// argon2Name is Django's name for the algorithm of new hashes.
const argon2Name = "argon2"

// Known reports whether a stored hash names an algorithm that Verify knows. The rest of
// it may be malformed.
func Known(encoded string) bool {
	algorithm, _, found := strings.Cut(encoded, "$")
	return found && (algorithm == argon2Name || legacy[algorithm] != nil)
}

// Usable reports whether a stored hash can match a password, if its format is known. It
// can't if it is empty, or was made by Unusable.
func Usable(encoded string) bool {
	return encoded != "" && !strings.HasPrefix(encoded, "!")
}

// Unusable returns what Django's set_unusable_password stores: an exclamation mark and 40
// random characters, which no password matches. They are random so that nobody can guess
// what is derived from them, such as Django's reset tokens.
func Unusable() string { return "!" + rand.Text() + rand.Text()[:14] }

// number parses a parameter of a stored hash. If it has more than 64 bits, the result is
// the largest number, which exceeds every bound. Signs and spaces are refused.
func number(s string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}
