// Package password makes and checks password hashes in the encodings of
// Django's password hashers, bounds how many are at work at once, and applies
// Django's password validators.
//
// New hashes are Argon2id. Hashes of Django's other formats are checked as
// well, so that accounts can move in with their passwords, and are told to be
// weaker, so that they are rewritten at the next login:
//
//	argon2$argon2id$v=19$m=19456,t=2,p=1$salt$hash   also argon2i
//	pbkdf2_sha256$iterations$salt$hash               also pbkdf2_sha1
//	bcrypt_sha256$$2b$12$salthash                    also bcrypt
//	scrypt$n$salt$r$p$hash
//
// Django's older ones (MD5, SHA-1, crypt) are too weak to be worth a check,
// and golang.org/x/crypto has neither Argon2 1.0 (v=16, or no v= at all) nor
// Argon2d: those are of an unknown format here.
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

// Argon2id has the parameters of new hashes (RFC 9106). The zero value is not
// valid: start from Default.
type Argon2id struct {
	// Memory in KiB that one hash takes. Default: 19456, which is 19 MiB.
	Memory uint32 `json:"memory,omitempty"`

	// Iterations is the number of passes over the memory. Default: 2.
	Iterations uint32 `json:"iterations,omitempty"`

	// Parallelism is the number of lanes, each of which may take a processor.
	// Default: 1, since a server has other logins for its other processors.
	Parallelism uint8 `json:"parallelism,omitempty"`
}

// Default has the parameters that OWASP's Password Storage Cheat Sheet gives
// for Argon2id. One hash takes about 30 ms of a processor.
var Default = Argon2id{Memory: 19 * 1024, Iterations: 2, Parallelism: 1}

// keyLength is how many bytes a new raw hash has: as many as Django's.
const keyLength = 32

// weakSalt is how many bytes a salt should have at least (RFC 9106, section
// 3.1). New ones have 26.
const weakSalt = 16

// Bounds on the parameters, of new hashes and of stored ones. Django's are
// 100 MiB, 2 and 8.
const (
	// maxMemory in KiB is 256 MiB. Each worker of a pool may take it at once.
	maxMemory = 256 << 10

	// maxIterations is what is left of the passes of maxWork for hashes that
	// take less memory than is good for them.
	maxIterations = 64

	// maxParallelism bounds the goroutines of a hash.
	maxParallelism = 32

	// laneMemory in KiB is what Argon2 needs for each lane.
	laneMemory = 8

	// maxWork in KiB, over all passes, is 2 GiB: about two seconds of a
	// processor, ten times what Django's parameters cost.
	maxWork = 2 << 20
)

// Validate returns an error for parameters that Argon2 doesn't allow, or that
// Verify would refuse in a stored hash. It says what would be right.
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

// Weak reports whether a hash costs less than any of the equal choices of OWASP's
// Password Storage Cheat Sheet, of which the one of least memory is 7 MiB with 5
// iterations.
func (a Argon2id) Weak() bool {
	return a.Memory < 7<<10 || uint64(a.Memory)*uint64(a.Iterations) < 5*7<<10
}

// Hash makes a hash with a new salt, in the encoding of Django's
// Argon2PasswordHasher; the longest has 119 characters, and Django's column
// takes 128. It fails with parameters that aren't valid only.
//
// The salt is text, since Django takes it for text: 130 random bits in 26
// characters, which pass Django's check of a salt's entropy.
func (a Argon2id) Hash(password string) (string, error) {
	if err := a.Validate(); err != nil {
		return "", err
	}
	salt := []byte(rand.Text())
	key := a.key(password, salt, keyLength)
	return a.head() + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(key), nil
}

// head is what every hash begins with that a makes.
func (a Argon2id) head() string {
	return fmt.Sprintf("argon2$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, a.Memory, a.Iterations, a.Parallelism)
}

// Made reports whether a stored hash takes the work of one that a makes.
func (a Argon2id) Made(encoded string) bool { return strings.HasPrefix(encoded, a.head()) }

// Dummy does the work of a Verify of a new hash and forgets the result, so
// that an account that isn't there, or whose stored hash can't be checked,
// costs what one does that is. With parameters that aren't valid it does
// nothing, as Hash does.
func (a Argon2id) Dummy(password string) {
	if a.Validate() == nil {
		a.key(password, make([]byte, weakSalt), keyLength)
	}
}

// key takes a's memory anew for each call: the library can't reuse it. The
// collector gives it back, and a Pool bounds how much that is.
func (a Argon2id) key(password string, salt []byte, length uint32) []byte {
	return argon2.IDKey([]byte(password), salt, a.Iterations, a.Memory, a.Parallelism, length)
}

// maxEncoded is how many bytes a stored hash may have. Django's column takes
// 128; the rest is for the long salts that some projects have set. With the
// other bounds it limits salts and raw hashes.
const maxEncoded = 1024

// minKey and maxKey are how many bytes a raw Argon2 or scrypt hash may have.
// Django's have 16, 32 or 64. A hash of a few bytes would match many passwords.
const (
	minKey = 16
	maxKey = 128
)

// Errors of Verify. A hash that can't be checked matches no password.
var (
	// ErrUnknownFormat means that a stored hash is of no known format, is
	// broken, or is unusable.
	ErrUnknownFormat = errors.New("unknown format of password hash")

	// ErrCost means that a stored hash asks for more work than is allowed. A
	// stored hash says by itself how much work it is to check, and may come
	// from an import: without bounds, one record could stop the server.
	ErrCost = errors.New("password hash asks for too much work")
)

// Verify checks a password against a stored hash of any format that the
// package knows, and compares in constant time. weaker says that the password
// is right and its hash should be made anew: it is of another format than
// those of Hash, or costs less than one of a would. A hash that costs more is
// left alone.
//
// No stored hash makes it panic, or work for more than about two seconds. The
// error is ErrUnknownFormat or ErrCost and comes without the work of a hash: to
// not tell by the time what is stored, call Dummy then.
func (a Argon2id) Verify(encoded, password string) (ok, weaker bool, err error) {
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

// verifyArgon2 checks variety$v=19$m=…,t=…,p=…$salt$hash.
func (a Argon2id) verifyArgon2(encoded, password string) (ok, weaker bool, err error) {
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
	weaker = parts[0] != "argon2id" || stored.Memory < a.Memory || stored.Iterations < a.Iterations ||
		len(want) < keyLength || len(salt) < weakSalt
	return ok, ok && weaker, nil
}

// parseCosts reads the parameters of a stored hash, and refuses those beyond
// the bounds.
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
	if a.Validate() != nil { // too little: Argon2 makes no such hash
		return Argon2id{}, ErrUnknownFormat
	}
	return a, nil
}

// argon2Name is Django's name of the algorithm of new hashes.
const argon2Name = "argon2"

// Known reports whether Verify checks hashes of the algorithm that a stored hash names.
// The rest of it may be broken all the same.
func Known(encoded string) bool {
	algorithm, _, found := strings.Cut(encoded, "$")
	return found && (algorithm == argon2Name || legacy[algorithm] != nil)
}

// Usable reports whether a password can match a stored hash: not if that is
// empty, or what Django's set_unusable_password leaves. It doesn't tell whether
// the format is known.
func Usable(encoded string) bool {
	return encoded != "" && !strings.HasPrefix(encoded, "!")
}

// Unusable makes what Django's set_unusable_password stores: an exclamation
// mark and 40 random characters, which no password matches. They are random so
// that whatever is derived from the stored value, as Django's reset tokens are,
// can't be guessed. It can't fail, since crypto/rand doesn't.
func Unusable() string { return "!" + rand.Text() + rand.Text()[:14] }

// number reads a cost of a stored hash. One too large for 64 bits comes out as
// the largest, which is beyond every bound. Signs and spaces are refused.
func number(s string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}
