package passkeys_test

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

// authenticator is one in software, whose answers can be wrong in one way each.
type authenticator struct {
	t       testing.TB
	id      []byte
	key     *ecdsa.PrivateKey
	handle  string
	counter uint32

	rp, origin string // of what it signs
	unverified bool   // it hasn't checked its user
	typ        string // of the ceremony; empty: the right one
}

// options are what the endpoints say of a ceremony.
type options struct {
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

func newAuthenticator(t testing.TB, rp, origin string) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authenticator{t: t, id: make([]byte, 32), key: key, rp: rp, origin: origin}
	rand.Read(a.id)
	return a
}

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// client returns the client data of a ceremony.
func (a *authenticator) client(typ, challenge string) []byte {
	if a.typ != "" {
		typ = a.typ
	}
	b, err := json.Marshal(map[string]any{"type": typ, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

// data returns the authenticator's data, without a credential.
func (a *authenticator) data(more byte) []byte {
	rp := sha256.Sum256([]byte(a.rp))
	flags := more | 1 // the user was there
	if !a.unverified {
		flags |= 4
	}
	return binary.BigEndian.AppendUint32(append(rp[:], flags), a.counter)
}

func (a *authenticator) answer(response map[string]string) string {
	b, err := json.Marshal(map[string]any{
		"id": text(a.id), "rawId": text(a.id), "type": "public-key", "response": response, "clientExtensionResults": struct{}{},
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return string(b)
}

// create answers the options of a new passkey.
func (a *authenticator) create(o options) string {
	a.t.Helper()
	a.handle = o.PublicKey.User.ID
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	data := append(a.data(0x40), make([]byte, 16)...) // an AAGUID of zeros
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(data, a.id...)
	data = append(data, 0xA5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32) // a key of P-256 for ES256, in COSE
	data = append(append(data, point[1:33]...), 0x22, 0x58, 32)
	data = append(data, point[33:]...)
	object := append([]byte{0xA3, 0x63}, "fmt\x64none\x67attStmt\xA0\x68authData\x59"...)
	object = append(binary.BigEndian.AppendUint16(object, uint16(len(data))), data...)
	return a.answer(map[string]string{
		"clientDataJSON": text(a.client("webauthn.create", o.PublicKey.Challenge)), "attestationObject": text(object),
	})
}

// get answers the options of a log-in. The counter rises, unless it is zero.
func (a *authenticator) get(o options) string {
	a.t.Helper()
	if a.counter > 0 {
		a.counter++
	}
	client, data := a.client("webauthn.get", o.PublicKey.Challenge), a.data(0)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(map[string]string{
		"clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature), "userHandle": a.handle,
	})
}

// decode returns what base64url stands for.
func decode(t testing.TB, s string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
