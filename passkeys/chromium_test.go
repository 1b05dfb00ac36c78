package passkeys_test

import (
	"net"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/browser"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// TestPasskeysInABrowser adds a passkey on the pages, logs in with it alone and as the second
// factor, and removes it, with the virtual authenticator of Chromium.
func TestPasskeysInABrowser(t *testing.T) {
	const pass = "first long password 1"
	b := browser.Start(t)
	s := testsite.New(t)
	_, port, _ := net.SplitHostPort(s.Addr)
	site := "http://localhost:" + port
	load := func(lines string) {
		t.Helper()
		err := s.LoadFile(testsite.Options + site + `, http://127.0.0.1:` + port + ` {
			djoser /auth/* {
				domain localhost:` + port + `
				site_name Wiki
				disable password_reset
				store badger {$DIR}/store
				throttle off
				passkeys
				` + lines + testsite.Cheap + `
			}
			djoser_pages /account/*
			@start path /start
			djoser_auth @start {
				mfa
			}
			respond @start "Page for {http.auth.user.username}."
			respond "Home of {http.auth.user.username}."
		}`)
		if err != nil {
			t.Fatal(err)
		}
	}
	load("")
	tab := b.New(t, browser.Options{Width: 320})
	key := tab.AddAuthenticator()
	login := func() {
		t.Helper()
		tab.Fill("username", "alice")
		tab.Fill("password", pass)
		tab.Submit("password")
	}
	logout := func() {
		t.Helper()
		tab.Go(site + "/account/logout")
		tab.Click("main form button")
		tab.Want("You are logged out.")
	}

	tab.Go(site + "/account/register")
	tab.Fill("username", "alice")
	tab.Fill("email", "alice@example.com")
	tab.Fill("password", pass)
	tab.Submit("password")
	tab.Go(site + "/account/login")
	login()
	tab.Go(site + "/account/passkeys")
	tab.Want("A passkey logs you in without the password")
	tab.Fill("name", "Phone")
	tab.Click("form[data-passkey] button")
	tab.Want("The passkey was added.", "Phone")
	if n := key.Credentials(); n != 1 {
		t.Errorf("%d credentials", n)
	}

	// Without a name: the page asks at once.
	logout()
	tab.Go(site + "/start")
	tab.Want("Log in with a passkey")
	tab.Click(`main a[href*="passkey"]`)
	tab.Want("Page for alice.")

	// As the second factor.
	load("mfa")
	logout()
	tab.Go(site + "/start")
	login()
	tab.Want("Second step", "Use a passkey.")
	tab.Click("form[data-passkey] button")
	tab.Want("Page for alice.")

	// Whoever doesn't verify himself isn't let in, and can try again.
	logout()
	key.Verify(false)
	tab.Go(site + "/account/passkey")
	tab.Want("No passkey was used")
	key.Verify(true)
	tab.Click("form[data-passkey] button")
	tab.Go(site + "/account/passkeys")
	tab.Want("Phone", "Last used")
	tab.Click(`form[action$="passkeys/remove"] button`)
	tab.Want("The passkey was removed.")
	if strings.Contains(tab.Text(), "Phone") {
		t.Error("the passkey is there")
	}

	// The browser still has it, and the site knows it no more.
	logout()
	tab.Go(site + "/account/passkey")
	tab.Want("This passkey isn't known here")
	tab.Go(site + "/account/login")
	login()

	// Without JavaScript the pages go on to work, and say what doesn't.
	tab.Show(browser.Options{NoScript: true})
	tab.Go(site + "/account/passkeys")
	tab.Want("Passkeys need JavaScript")
}
