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
	"errors"
	"strconv"
	"strings"
)

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
