package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Authenticator is a virtual one of a tab, which keeps passkeys and checks its user.
type Authenticator struct {
	tab *Tab
	id  webauthn.AuthenticatorID
}

// AddAuthenticator adds an authenticator to the tab. Its user is always there.
func (b *Tab) AddAuthenticator() *Authenticator {
	b.T.Helper()
	call(b, webauthn.Enable, webauthn.EnableParams{})
	added := call(b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	return &Authenticator{b, added.AuthenticatorID}
}

// Verify sets whether the authenticator finds that its user is the right one.
func (a *Authenticator) Verify(right bool) {
	a.tab.T.Helper()
	call(a.tab, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: right})
}

// Credentials returns how many passkeys the authenticator has.
func (a *Authenticator) Credentials() int {
	a.tab.T.Helper()
	return len(call(a.tab, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id}).Credentials)
}

// call runs a command of the DevTools protocol.
func call[P, R any](b *Tab, command cdp.Command[P, R], params P) (result R) {
	b.T.Helper()
	b.Do(func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		result, err = cdp.Call(ctx, t, command, params)
		return none, err
	})
	return result
}
