package authn

import (
	"crypto/rand"
	"net/http"
)

// browserCookie is the cookie that binds a log-in with a provider to the browser that began
// it. It says nothing of who logs in.
const browserCookie = "djoser~provider"

// browserAge is how long a browser keeps it in seconds, as a state is good.
const browserAge = 10 * 60

func browserName(https bool) string {
	if https {
		return HostPrefix + browserCookie
	}
	return browserCookie
}

// KeepBrowser returns the value of the browser's cookie, and gives it one if it has none. Two
// tabs share it.
func KeepBrowser(w http.ResponseWriter, r *http.Request, https bool) string {
	value := BrowserOf(r, https)
	if value == "" {
		value = rand.Text()
	}
	http.SetCookie(w, &http.Cookie{
		Name: browserName(https), Value: value, Path: "/", MaxAge: browserAge, Secure: https, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return value
}

// BrowserOf returns the value of the browser's cookie, or an empty text.
func BrowserOf(r *http.Request, https bool) string {
	value, _ := findCookie(r.Header["Cookie"], browserName(https))
	if len(value) != len(rand.Text()) {
		return ""
	}
	return value
}
