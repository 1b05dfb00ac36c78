// Package passkeys checks what authenticators answer, by github.com/go-webauthn/webauthn. It
// is a guest module, so that only builds that want passkeys link that:
//
//	xcaddy build --with github.com/caddy-djoser/djoser/passkeys
//
// Everything else about passkeys is in the other packages: an account has them as it has its
// second factor, and package account makes the challenges and keeps the counters.
package passkeys

import (
	"encoding/base64"
	"errors"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

func init() { caddy.RegisterModule(WebAuthn{}) }

// WebAuthn checks the answers of authenticators. It has no settings: those of the realm are in
// its line passkeys.
type WebAuthn struct{}

// CaddyModule returns the Caddy module information.
func (WebAuthn) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser.passkeys", New: func() caddy.Module { return new(WebAuthn) }}
}

// Algorithms are the signatures that passkeys may have, the best first.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// maxCredential is the maximum length of a credential's id in bytes. Source: WebAuthn, 4.
const maxCredential = 1023

// Registered implements account.WebAuthn. Source: WebAuthn, 7.1.
func (WebAuthn) Registered(rp *account.RelyingParty, challenge, answer []byte) (*model.Passkey, error) {
	made, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return nil, err
	}
	_, err = made.Verify(text(challenge), rp.ID, rp.Origins, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, true, true, nil, algorithms, protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return nil, err
	}
	data := made.Response.AttestationObject.AuthData
	if len(data.AttData.CredentialID) > maxCredential {
		return nil, errors.New("the id of the credential is too long")
	}
	return &model.Passkey{Credential: data.AttData.CredentialID, PublicKey: data.AttData.CredentialPublicKey, Counter: data.Counter}, nil
}

// Signed implements account.WebAuthn. Source: WebAuthn, 7.2.
func (WebAuthn) Signed(rp *account.RelyingParty, p *model.Passkey, challenge, answer []byte) (counter uint32, err error) {
	signed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return 0, err
	}
	if string(signed.RawID) != string(p.Credential) {
		return 0, errors.New("the answer is of another credential")
	}
	err = signed.Verify(text(challenge), rp.ID, "", rp.Origins, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, true, true, p.PublicKey, protocol.SignaturePolicy{})
	return signed.Response.AuthenticatorData.Counter, err
}

// text returns a challenge as clients write it.
func text(challenge []byte) string { return base64.RawURLEncoding.EncodeToString(challenge) }

// Interface guards
var _ account.WebAuthn = WebAuthn{}
