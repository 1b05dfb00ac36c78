package pages_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/internal/browser"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// Variables for the tests in a browser: the file axe.min.js of axe-core, which checks pages
// for accessibility, and a folder for pictures of the pages.
const (
	axeVariable      = "DJOSER_TEST_AXE"
	picturesVariable = "DJOSER_TEST_PICTURES"
)

// wiki is the smallest whole product: a back end, and an account for whoever reads it. The
// address has a port, and passwords are hashed at a low cost.
type wiki struct {
	*testsite.Site
	mail *testsite.SMTP
	url  string
}

const wikiName = "wiki.example.com"

func runWiki(t *testing.T, settings string) *wiki {
	t.Helper()
	s := testsite.New(t)
	_, port, _ := net.SplitHostPort(s.Addr)
	w := &wiki{s, testsite.StartSMTP(t, "none", nil), "http://" + wikiName + ":" + port}
	backEnd := testsite.BackEndOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!doctype html><title>Wiki</title><p>Page %s for %s.", r.URL.Path, r.Header.Get("Remote-User"))
	})
	err := s.LoadFile(testsite.Options + w.url + ", http://" + s.Addr + ` {
		djoser /auth/* {
			domain ` + wikiName + ":" + port + `
			site_name Wiki
			mailer smtp ` + w.mail.Addr + ` {
				tls none
			}
			store badger {$DIR}/store
			throttle off
			` + settings + testsite.Cheap + `
		}
		djoser_pages /account/*
		djoser_auth
		reverse_proxy ` + backEnd + `
	}`)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// inspect checks the page that a tab shows: nothing is cut off at its width, and axe-core
// finds no fault in either color scheme. It takes a picture where a folder is given.
func inspect(tab *browser.Tab, name string, o browser.Options) {
	tab.T.Helper()
	if wide := browser.Evaluate[int](tab, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
		tab.T.Errorf("%s is %d pixels too wide", name, wide)
	}
	for _, dark := range []bool{false, true} {
		tab.Show(browser.Options{Width: o.Width, Dark: dark, NoScript: o.NoScript})
		if dir := os.Getenv(picturesVariable); dir != "" {
			file := fmt.Sprintf("%s-%d-%t-%t.png", name, o.Width, dark, o.NoScript)
			if err := os.WriteFile(filepath.Join(dir, file), tab.Screenshot(), 0o600); err != nil {
				tab.T.Fatal(err)
			}
		}
		if file := os.Getenv(axeVariable); file != "" && !o.NoScript {
			checkAccessibility(tab, file, fmt.Sprintf("%s, dark %t", name, dark))
		}
	}
	tab.Show(o)
}

func checkAccessibility(tab *browser.Tab, file, name string) {
	tab.T.Helper()
	axe, err := os.ReadFile(file)
	if err != nil {
		tab.T.Fatal(err)
	}
	found := browser.Evaluate[[]string](tab, "(() => {"+string(axe)+`
		return axe.run().then(r => r.violations.map(v => v.id + ": " + v.help + " at " + v.nodes.map(n => n.html).join(" ")));
	})()`)
	for _, fault := range found {
		tab.T.Errorf("%s: %s", name, fault)
	}
}

func TestTheLifeOfAnAccountInABrowser(t *testing.T) {
	b := browser.Start(t)
	for name, o := range map[string]browser.Options{
		"with JavaScript": {}, "without JavaScript": {NoScript: true}, "on a phone": {Width: 320},
	} {
		t.Run(name, func(t *testing.T) {
			w := runWiki(t, "send_activation_email")
			live(t, w, b.New(t, o), o)
		})
	}
}

// live goes through the life of an account on the pages.
func live(t *testing.T, w *wiki, tab *browser.Tab, o browser.Options) {
	const first, second, third = "first long password 1", "second long password 2", "third long password 3"
	see := func(name string, texts ...string) {
		t.Helper()
		tab.Want(texts...)
		inspect(tab, name, o)
	}

	tab.Go(w.url + "/start?page=1")
	see("login", "Log in", "Create an account")
	tab.Click(`a[href*="register"]`)
	see("register", "Create an account")
	tab.Fill("username", "alice")
	tab.Fill("email", "alice@example.com")
	tab.Fill("password", first)
	tab.Submit("password")
	see("register_sent", "Look into your mail")
	tab.Go(w.mail.Link(t, 1, "alice@example.com"))
	see("activate", "Activate your account", "alice@example.com")
	tab.Go(w.mail.Link(t, 1, "alice@example.com")) // looking uses nothing up
	tab.Click("main form button")
	see("activated", "Your account is active")

	tab.Go(w.url + "/start?page=1")
	tab.Fill("username", "alice")
	tab.Fill("password", "wrong")
	tab.Submit("password")
	see("login_wrong", "The name or the password is wrong.")
	tab.Fill("password", first) // the name is still there
	tab.Submit("password")
	tab.Want("Page /start for alice.")
	if !strings.HasSuffix(tab.URL(), "/start?page=1") {
		t.Errorf("went to %s", tab.URL())
	}

	tab.Go(w.url + "/account/")
	see("profile", "Your profile", "alice@example.com")
	tab.Go(w.url + "/account/username")
	see("username", "Change your name")
	tab.Fill("new_username", "alicia")
	tab.Submit("new_username")
	tab.Want("Your name is changed.")
	tab.Go(w.url + "/account/email")
	see("email", "Change your address")
	tab.Go(w.url + "/account/password")
	see("password", "Change your password")
	tab.Go(w.url + "/account/confirm?next=%2Faccount%2Fpassword")
	see("confirm", "Confirm that it's you")
	tab.Fill("password", "wrong")
	tab.Submit("password")
	see("confirm_wrong", "Invalid password.")
	tab.Fill("password", first)
	tab.Submit("password")
	tab.Want("Change your password")
	tab.Fill("new_password", second)
	tab.Submit("new_password")
	tab.Want("Your password is changed.")

	phone := tab.Elsewhere(browser.Options{})
	phone.Go(w.url + "/account/login")
	phone.Fill("username", "alicia")
	phone.Fill("password", second)
	phone.Submit("password")
	tab.Go(w.url + "/account/sessions")
	see("sessions", "This one", "End all others")
	tab.Click(`form[action$="others"] button`)
	tab.Want("All other sessions are ended.")
	phone.Go(w.url + "/")
	phone.Want("Log in")

	tab.Go(w.url + "/account/logout")
	see("logout", "You are logged in as alicia.")
	tab.Click("main form button")
	see("logged_out", "You are logged out.")
	tab.Go(w.url + "/")
	tab.Click(`a[href*="password/reset"]`)
	see("password_reset", "Forgot your password?")
	tab.Fill("email", "alice@example.com")
	tab.Submit("email")
	see("password_reset_sent", "Look into your mail")
	tab.Go(w.mail.Link(t, 2, "alice@example.com"))
	see("password_reset_confirm", "Choose a new password")
	tab.Fill("new_password", third)
	tab.Submit("new_password")
	tab.Want("Your new password is set.")
	tab.Fill("username", "alicia")
	tab.Fill("password", third)
	tab.Submit("password")

	tab.Go(w.url + "/account/delete")
	see("delete", "can't be undone")
	tab.Click("main form button")
	see("deleted", "Your account is deleted")
	tab.Go(w.url + "/nowhere")
	tab.Want("Log in")
	tab.Go(w.url + "/account/nowhere")
	see("not_found", "There is no such page")
}

func TestTheFragmentOfAPageSurvivesTheLogIn(t *testing.T) {
	b := browser.Start(t)
	w := runWiki(t, "")
	w.Register("alice", "first long password 1")
	tab := b.New(t, browser.Options{})
	tab.Go(w.url + "/start#chapter-2")
	tab.Fill("username", "alice")
	tab.Fill("password", "first long password 1")
	tab.Submit("password")
	tab.Want("Page /start for alice.")
	if !strings.HasSuffix(tab.URL(), "/start#chapter-2") {
		t.Errorf("went to %s", tab.URL())
	}
}

func TestTheBackButtonShowsNothingAfterTheLogOut(t *testing.T) {
	b := browser.Start(t)
	w := runWiki(t, "")
	w.Register("alice", "first long password 1")
	tab := b.New(t, browser.Options{})
	tab.Go(w.url + "/secret")
	tab.Fill("username", "alice")
	tab.Fill("password", "first long password 1")
	tab.Submit("password")
	tab.Want("Page /secret for alice.")
	tab.Go(w.url + "/account/logout")
	tab.Click("main form button")
	tab.Back()
	tab.Back()
	if text := tab.Text(); strings.Contains(text, "for alice") {
		t.Errorf("at %s: %s", tab.URL(), text)
	}
}
