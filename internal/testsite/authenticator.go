package testsite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
)

// Authenticator is one in software, whose answers can be wrong in one way each.
type Authenticator struct {
	T       testing.TB
	ID      []byte // of its passkey
	Key     *ecdsa.PrivateKey
	Handle  string // of its user
	Counter uint32 // rises with each log-in, unless it is zero

	RP, Origin string // of what it signs
	Unverified bool   // it hasn't checked its user
	Type       string // of the ceremony; empty: the right one
}

// PasskeyOptions are what the endpoints say of a ceremony.
type PasskeyOptions struct {
	PublicKey struct {
		Challenge string
		RPID      string `json:"rpId"`
		RP        struct{ ID, Name string }
		User      struct{ ID, Name string }
		Allow     []struct{ ID string } `json:"allowCredentials"`
		Exclude   []struct{ ID string } `json:"excludeCredentials"`
		Selection struct {
			ResidentKey      string `json:"residentKey"`
			UserVerification string `json:"userVerification"`
		} `json:"authenticatorSelection"`
		UserVerification string `json:"userVerification"`
		Attestation      string
	} `json:"publicKey"`
}

// NewAuthenticator returns an authenticator with a new key, which signs for a relying party at an
// origin.
func NewAuthenticator(t testing.TB, rp, origin string) *Authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authenticator{T: t, ID: make([]byte, 32), Key: key, RP: rp, Origin: origin}
	rand.Read(a.ID)
	return a
}

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// client returns the client data of a ceremony.
func (a *Authenticator) client(typ, challenge string) []byte {
	if a.Type != "" {
		typ = a.Type
	}
	b, err := json.Marshal(map[string]any{"type": typ, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
	if err != nil {
		a.T.Fatal(err)
	}
	return b
}

// data returns the authenticator's data, without a credential.
func (a *Authenticator) data(more byte) []byte {
	rp := sha256.Sum256([]byte(a.RP))
	flags := more | 1 // the user was there
	if !a.Unverified {
		flags |= 4
	}
	return binary.BigEndian.AppendUint32(append(rp[:], flags), a.Counter)
}

func (a *Authenticator) answer(response map[string]string) string {
	b, err := json.Marshal(map[string]any{
		"id": base64URL(a.ID), "rawId": base64URL(a.ID), "type": "public-key", "response": response, "clientExtensionResults": struct{}{},
	})
	if err != nil {
		a.T.Fatal(err)
	}
	return string(b)
}

// Create answers the options of a new passkey.
func (a *Authenticator) Create(o PasskeyOptions) string {
	a.T.Helper()
	a.Handle = o.PublicKey.User.ID
	point, err := a.Key.PublicKey.Bytes()
	if err != nil {
		a.T.Fatal(err)
	}
	data := append(a.data(0x40), make([]byte, 16)...) // an AAGUID of zeros
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.ID)))
	data = append(data, a.ID...)
	data = append(data, 0xA5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32) // a key of P-256 for ES256, in COSE
	data = append(append(data, point[1:33]...), 0x22, 0x58, 32)
	data = append(data, point[33:]...)
	object := append([]byte{0xA3, 0x63}, "fmt\x64none\x67attStmt\xA0\x68authData\x59"...)
	object = append(binary.BigEndian.AppendUint16(object, uint16(len(data))), data...)
	return a.answer(map[string]string{
		"clientDataJSON": base64URL(a.client("webauthn.create", o.PublicKey.Challenge)), "attestationObject": base64URL(object),
	})
}

// Get answers the options of a log-in. The counter rises, unless it is zero.
func (a *Authenticator) Get(o PasskeyOptions) string {
	a.T.Helper()
	if a.Counter > 0 {
		a.Counter++
	}
	client, data := a.client("webauthn.get", o.PublicKey.Challenge), a.data(0)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.Key, digest[:])
	if err != nil {
		a.T.Fatal(err)
	}
	return a.answer(map[string]string{
		"clientDataJSON": base64URL(client), "authenticatorData": base64URL(data), "signature": base64URL(signature), "userHandle": a.Handle,
	})
}
