package password

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// Bounds on the cost of stored hashes. Each allows about two seconds of a processor, and
// several times the cost of any default of Django.
const (
	// maxPBKDF2 is the maximum number of iterations. Django 6.0 makes 1,200,000.
	maxPBKDF2 = 10_000_000

	// maxBcryptCost is the maximum binary logarithm of the rounds. Django's is 12.
	maxBcryptCost = 15

	// maxScryptMemory bounds 128*n*r and maxScryptWork that times p, in bytes.
	// Django's are 16 MiB (n 16384, r 8) and 80 MiB (p 5).
	maxScryptMemory = 256 << 20
	maxScryptWork   = 512 << 20

	// maxScryptR and maxScryptP bound the other 128*r*p bytes that scrypt takes,
	// also with a small n.
	maxScryptR = 64
	maxScryptP = 16
)

// bcryptReads is how many bytes of a password bcrypt reads, and bcryptLength the length
// of its encoding, as in crypt(3).
const (
	bcryptReads  = 72
	bcryptLength = 60
)

// legacy are the formats that are checked but not made any more, by Django's name of the
// algorithm. Each function gets what follows the name and a dollar sign.
var legacy = map[string]func(rest, password string) (bool, error){
	"pbkdf2_sha256": func(rest, password string) (bool, error) { return verifyPBKDF2(sha256.New, rest, password) },
	"pbkdf2_sha1":   func(rest, password string) (bool, error) { return verifyPBKDF2(sha1.New, rest, password) },
	"bcrypt":        verifyBcrypt,
	"bcrypt_sha256": verifyBcryptSHA256,
	"scrypt":        verifyScrypt,
}

// verifyPBKDF2 checks iterations$salt$hash (RFC 8018). The salt is used as written.
func verifyPBKDF2(h func() hash.Hash, rest, password string) (bool, error) {
	parts := strings.Split(rest, "$")
	if len(parts) != 3 {
		return false, ErrUnknownFormat
	}
	iterations, ok := number(parts[0])
	want, err := base64.StdEncoding.DecodeString(parts[2])
	if !ok || iterations < 1 || err != nil || len(want) != h().Size() {
		return false, ErrUnknownFormat
	}
	if iterations > maxPBKDF2 {
		return false, ErrCost
	}
	got, err := pbkdf2.Key(h, password, []byte(parts[1]), int(iterations), len(want))
	if err != nil {
		return false, ErrUnknownFormat
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// verifyBcrypt checks a hash of crypt(3), such as $2b$12$…. bcrypt ignores everything
// after the 72nd byte of a password, and repeats a shorter one with a zero byte between,
// so that "a" and "a\x00a" have the same hash. So passwords that are longer, or have a
// zero byte, match nothing. The hash is computed anyway: otherwise the time would show
// which format is stored.
func verifyBcrypt(rest, password string) (bool, error) {
	encoded := []byte(rest)
	cost, err := bcrypt.Cost(encoded)
	if err != nil || len(encoded) != bcryptLength {
		return false, ErrUnknownFormat
	}
	if cost > maxBcryptCost {
		return false, ErrCost
	}
	err = bcrypt.CompareHashAndPassword(encoded, []byte(password)) // compares in constant time
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, ErrUnknownFormat
	}
	readWhole := len(password) <= bcryptReads && !strings.Contains(password, "\x00")
	return err == nil && readWhole, nil
}

// verifyBcryptSHA256 checks a bcrypt hash of the hexadecimal SHA-256 of the password, so
// that it may be long and have any bytes.
func verifyBcryptSHA256(rest, password string) (bool, error) {
	sum := sha256.Sum256([]byte(password))
	return verifyBcrypt(rest, hex.EncodeToString(sum[:]))
}

// verifyScrypt checks n$salt$r$p$hash (RFC 7914): in Django's words work factor, salt,
// block size and parallelism.
func verifyScrypt(rest, password string) (bool, error) {
	parts := strings.Split(rest, "$")
	if len(parts) != 5 {
		return false, ErrUnknownFormat
	}
	n, okN := number(parts[0])
	r, okR := number(parts[2])
	p, okP := number(parts[3])
	want, err := base64.StdEncoding.DecodeString(parts[4])
	if !okN || !okR || !okP || err != nil || len(want) < minKey || len(want) > maxKey {
		return false, ErrUnknownFormat
	}
	if n < 2 || r < 1 || p < 1 || n&(n-1) != 0 {
		return false, ErrUnknownFormat
	}
	// After the first three checks, the products fit in 64 bits.
	if n > maxScryptMemory || r > maxScryptR || p > maxScryptP || 128*n*r > maxScryptMemory || 128*n*r*p > maxScryptWork {
		return false, ErrCost
	}
	got, err := scrypt.Key([]byte(password), []byte(parts[1]), int(n), int(r), int(p), len(want))
	if err != nil {
		return false, ErrUnknownFormat
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
