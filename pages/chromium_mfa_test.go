package pages_test

import (
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/browser"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// TestSecondFactorsInABrowser sets up a second factor on a phone, logs in with it, and removes
// it.
func TestSecondFactorsInABrowser(t *testing.T) {
	const pass = "first long password 1"
	w := runWiki(t, "mfa")
	o := browser.Options{Width: 320}
	tab := browser.Start(t).New(t, o)
	see := func(name string, texts ...string) {
		t.Helper()
		tab.Want(texts...)
		inspect(tab, name, o)
	}
	code := `document.querySelector("main p code").textContent`

	tab.Go(w.url + "/account/register")
	tab.Fill("username", "alice")
	tab.Fill("email", "alice@example.com")
	tab.Fill("password", pass)
	tab.Submit("password")
	tab.Go(w.url + "/account/login")
	tab.Fill("username", "alice")
	tab.Fill("password", pass)
	tab.Submit("password")
	see("mfa_offer", "Protect your account", "Not now")

	tab.Go(w.url + "/account/mfa")
	see("mfa", "Scan this code")
	app := &testsite.App{Secret: browser.Evaluate[string](tab, code), Now: time.Now}
	tab.Fill("code", "000000")
	tab.Submit("code")
	see("mfa_wrong", "The code is wrong")
	tab.Fill("code", app.Code(t))
	tab.Submit("code")
	see("mfa_codes_made", "Keep these codes in a safe place.")
	recovery := browser.Evaluate[string](tab, `document.querySelector(".codes code").textContent`)
	tab.Go(w.url + "/account/mfa")
	see("mfa_on", "Recovery codes left: 10.")

	tab.Go(w.url + "/account/logout")
	tab.Click("main form button")
	tab.Go(w.url + "/start?page=1")
	tab.Fill("username", "alice")
	tab.Fill("password", pass)
	tab.Submit("password")
	see("verify", "Second step")
	tab.Fill("code", recovery)
	tab.Submit("code")
	tab.Want("Page /start for alice.")

	tab.Go(w.url + "/account/mfa/codes")
	see("mfa_codes", "New recovery codes replace the old ones.")
	tab.Go(w.url + "/account/prove")
	see("prove", "This page asks for the code")
	tab.Go(w.url + "/account/mfa/remove")
	see("mfa_remove", "Remove the second factor")
	tab.Fill("code", app.Code(t))
	tab.Submit("code")
	tab.Want("The second factor was removed.")
}
