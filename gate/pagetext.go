package gate

import (
	"net/http"

	"github.com/caddy-djoser/djoser/internal/request"
)

// pageText has the texts of the pages in a language.
type pageText struct {
	Lang string

	EndedTitle, Ended, LogIn                              string
	ForbiddenTitle, LoggedInAs, WithoutAccess, LogInOther string
	TooOldTitle, TooOld, TryAgain                         string
}

// pageTexts are the languages of the pages. The first is for everybody else.
var pageTexts = []*pageText{
	{
		Lang:       "en",
		EndedTitle: "Please log in",
		Ended:      "You aren't logged in, or have to log in again, so nothing was sent on. What you entered isn't lost: log in, which opens in another tab, come back here, go one page back, and send it again.",
		LogIn:      "Log in",

		ForbiddenTitle: "No access",
		LoggedInAs:     "You are logged in as",
		WithoutAccess:  ", who has no access to this page.",
		LogInOther:     "Log in as somebody else",

		TooOldTitle: "Please try again",
		TooOld:      "The link to log in here is too old, was used already, or is of another browser.",
		TryAgain:    "Try again",
	},
	{
		Lang:       "de",
		EndedTitle: "Bitte anmelden",
		Ended:      "Sie sind nicht angemeldet oder müssen sich neu anmelden, darum wurde nichts weitergegeben. Ihre Eingaben sind nicht verloren: Melden Sie sich an, was einen anderen Tab öffnet, kommen Sie hierher zurück, gehen Sie eine Seite zurück, und senden Sie sie noch einmal ab.",
		LogIn:      "Anmelden",

		ForbiddenTitle: "Kein Zugang",
		LoggedInAs:     "Sie sind angemeldet als",
		WithoutAccess:  ". Dieses Konto hat keinen Zugang zu dieser Seite.",
		LogInOther:     "Mit einem anderen Konto anmelden",

		TooOldTitle: "Bitte noch einmal",
		TooOld:      "Der Link zur Anmeldung ist zu alt, wurde schon benutzt oder gehört zu einem anderen Browser.",
		TryAgain:    "Noch einmal versuchen",
	},
}

// pageTextFor returns the texts in the language that the client prefers.
func pageTextFor(r *http.Request) *pageText {
	preferred := request.Language(r)
	for _, t := range pageTexts {
		if t.Lang == preferred {
			return t
		}
	}
	return pageTexts[0]
}
