package pages

import "strings"

// A User-Agent in words that people understand. The rules are few on purpose: what they
// don't know is shown as no name, never as a wrong one.

// agentName is a part of a User-Agent, and the name that it stands for.
type agentName struct{ part, name string }

// browsers in the order in which they are looked for, since most claim to be others, too.
var browsers = []agentName{
	{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"},
	{"OPR/", "Opera"}, {"Vivaldi/", "Vivaldi"}, {"SamsungBrowser/", "Samsung Internet"},
	{"DuckDuckGo/", "DuckDuckGo"}, {"Ddg/", "DuckDuckGo"}, {"YaBrowser/", "Yandex"},
	{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"},
	{"CriOS/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"},
	{"Version/", "Safari"},
	{"curl/", "curl"}, {"Wget/", "Wget"}, {"python-requests/", "Python"}, {"Python/", "Python"},
	{"Go-http-client/", "Go"}, {"okhttp/", "Android"}, {"CFNetwork/", "Apple"},
}

// systems in the order in which they are looked for.
var systems = []agentName{
	{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"},
	{"Windows", "Windows"}, {"Macintosh", "macOS"}, {"FreeBSD", "FreeBSD"}, {"Linux", "Linux"},
}

// agentNames returns the browser and the system of a User-Agent; empty: unknown.
func agentNames(agent string) (browser, system string) {
	find := func(names []agentName) string {
		for _, n := range names {
			if strings.Contains(agent, n.part) {
				return n.name
			}
		}
		return ""
	}
	return find(browsers), find(systems)
}
