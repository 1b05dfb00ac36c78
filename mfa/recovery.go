package mfa

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"strings"
)

// RecoveryCodes is how many recovery codes an account gets at once.
const RecoveryCodes = 10

// alphabet has no letters that are taken for others, and 32 characters. Source: Crockford's
// base 32.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// MinRecovery and MaxRecovery are the least and the greatest length of a recovery code that was
// made elsewhere, as by django-otp. Codes made here are in between.
const (
	MinRecovery = 8
	MaxRecovery = 16
)

// letters are those of a code made elsewhere, in any spelling.
const letters = "0123456789abcdefghijklmnopqrstuvwxyz"

// half is the length of each half of a recovery code. Both have 60 random bits together, so
// that the digests need no slow hash.
const half = 6

// NewRecoveryCodes returns random codes, such as 4k1x9w-7tq2hb.
func NewRecoveryCodes() []string {
	codes := make([]string, RecoveryCodes)
	for i := range codes {
		b := make([]byte, 2*half)
		rand.Read(b) // never fails; see crypto/rand
		for j := range b {
			b[j] = alphabet[b[j]%32]
		}
		codes[i] = string(b[:half]) + "-" + string(b[half:])
	}
	return codes
}

// spelling replaces what people write for characters of the alphabet.
var spelling = strings.NewReplacer("-", "", " ", "", "o", "0", "i", "1", "l", "1")

// RecoveryDigest returns the digest of an account's recovery code under a key, or false for
// what is no such code. Case, spaces and hyphens don't count.
func RecoveryDigest(key []byte, account uint64, code string) (digest [32]byte, ok bool) {
	if len(code) > 2*MaxRecovery {
		return digest, false
	}
	code = spelling.Replace(strings.ToLower(code))
	if len(code) < MinRecovery || len(code) > MaxRecovery || strings.Trim(code, letters) != "" {
		return digest, false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("djoser recovery code\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, account))
	mac.Write([]byte(code))
	mac.Sum(digest[:0])
	return digest, true
}

// Find returns the index of a digest, or -1. It compares all of them, in constant time.
func Find(digests [][32]byte, digest [32]byte) int {
	found := -1
	for i := range digests {
		if subtle.ConstantTimeCompare(digests[i][:], digest[:]) == 1 {
			found = i
		}
	}
	return found
}
