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
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// Bounds on the cost of hashes of other formats, each some times what Django
// has ever made by default.
const (
	maxPBKDF2     = 10_000_000 // iterations
	maxBcryptCost = 16         // log2 of the rounds
	maxScryptSize = 256 << 20  // bytes: 128 * N * r
	maxScryptP    = 16
)

// maxBcrypt is how many bytes of a password bcrypt looks at.
const maxBcrypt = 72

// legacy are the formats that are checked and no longer made, by Django's
// names of their algorithms.
var legacy = map[string]func(rest, password string) (bool, error){
	"pbkdf2_sha256": func(rest, password string) (bool, error) { return verifyPBKDF2(sha256.New, rest, password) },
	"pbkdf2_sha1":   func(rest, password string) (bool, error) { return verifyPBKDF2(sha1.New, rest, password) },
	"bcrypt":        verifyBcrypt,
	"bcrypt_sha256": verifyBcryptSHA256,
	"scrypt":        verifyScrypt,
}

// verifyPBKDF2 checks iterations$salt$hash.
func verifyPBKDF2[H hash.Hash](h func() H, rest, password string) (bool, error) {
	parts := strings.Split(rest, "$")
	if len(parts) != 3 {
		return false, ErrFormat
	}
	iterations, err := strconv.Atoi(parts[0])
	if err != nil || iterations < 1 {
		return false, ErrFormat
	}
	if iterations > maxPBKDF2 {
		return false, ErrCost
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != h().Size() {
		return false, ErrFormat
	}
	got, err := pbkdf2.Key(h, password, []byte(parts[1]), iterations, len(key))
	if err != nil {
		return false, ErrFormat
	}
	return subtle.ConstantTimeCompare(got, key) == 1, nil
}

// verifyBcrypt checks a hash of crypt(3). bcrypt ignores what comes after the
// 72nd byte of a password, so that a longer one is never accepted.
func verifyBcrypt(rest, password string) (bool, error) {
	if len(password) > maxBcrypt {
		return false, nil
	}
	encoded := []byte(rest)
	cost, err := bcrypt.Cost(encoded)
	if err != nil {
		return false, ErrFormat
	}
	if cost > maxBcryptCost {
		return false, ErrCost
	}
	err = bcrypt.CompareHashAndPassword(encoded, []byte(password))
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, ErrFormat
	}
	return err == nil, nil
}

// verifyBcryptSHA256 checks a bcrypt hash of the hexadecimal SHA-256 of the
// password, which may be of any length.
func verifyBcryptSHA256(rest, password string) (bool, error) {
	sum := sha256.Sum256([]byte(password))
	return verifyBcrypt(rest, hex.EncodeToString(sum[:]))
}

// verifyScrypt checks n$salt$r$p$hash.
func verifyScrypt(rest, password string) (bool, error) {
	parts := strings.Split(rest, "$")
	if len(parts) != 5 {
		return false, ErrFormat
	}
	n, errN := strconv.Atoi(parts[0])
	r, errR := strconv.Atoi(parts[2])
	p, errP := strconv.Atoi(parts[3])
	key, errKey := base64.StdEncoding.DecodeString(parts[4])
	if errN != nil || errR != nil || errP != nil || errKey != nil || n < 2 || r < 1 || p < 1 || len(key) < 16 || len(key) > maxKey {
		return false, ErrFormat
	}
	if p > maxScryptP || r > maxScryptSize/128 || n > maxScryptSize/128/r {
		return false, ErrCost
	}
	got, err := scrypt.Key([]byte(password), []byte(parts[1]), n, r, p, len(key))
	if err != nil {
		return false, ErrFormat
	}
	return subtle.ConstantTimeCompare(got, key) == 1, nil
}
