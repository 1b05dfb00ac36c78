package pages

import (
	"errors"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

// Session is a log-in for its owner.
type Session struct {
	ID      string
	Device  string // browser and system in words
	Address string
	Made    string // in words
	MadeAt  string // as HTML's time has it
	Used    string
	UsedAt  string
	Current bool // it is that of the browser
}

func showSessions(v *visit, w *View) error {
	tokens, err := v.accounts.Store.Tokens(v.Context(), v.who.Account.ID)
	if err != nil {
		return err
	}
	for _, t := range serializers.RepresentTokens(tokens, v.who.Token.Login()) {
		if t.Name != "" && v.offers(pageNamed("tokens")) {
			continue // on a page of their own
		}
		s, err := w.session(t, v.accounts.Now())
		if err != nil {
			return err
		}
		w.Sessions = append([]Session{s}, w.Sessions...) // the latest first
	}
	return w.text(&w.Text, "sessions_text")
}

// session returns a token in words.
func (w *View) session(t serializers.Token, now time.Time) (s Session, err error) {
	s = Session{
		ID: t.ID, Address: t.Address, Current: t.Current,
		MadeAt: t.Created.Format(time.RFC3339), UsedAt: t.LastUsed.Format(time.RFC3339),
	}
	switch browser, system := agentNames(t.Agent); {
	case t.Name != "":
		s.Device = t.Name
	case browser != "" && system != "":
		s.Device, err = w.T("sessions_device", "browser", browser, "system", system)
	case browser != "" || system != "":
		s.Device = browser + system
	default:
		s.Device, err = w.T("sessions_unknown")
	}
	made, madeErr := w.Ago(t.Created, now)
	used, usedErr := w.Ago(t.LastUsed, now)
	s.Made, s.Used = made, used
	return s, errors.Join(err, madeErr, usedErr)
}

// endSession ends one session.
func endSession(v *visit, req *account.Request) (string, error) {
	return endOne(v, req, "sessions", "session_ended")
}

// endOne ends the token that the form names, and returns to a page.
func endOne(v *visit, req *account.Request, page, done string) (string, error) {
	err := req.EndToken(v.Context(), v.who.Account.ID, v.text("end"))
	if err != nil && !errors.Is(err, model.ErrNotFound) { // it may have ended meanwhile
		return "", err
	}
	return v.done(page, done), nil
}

// endOtherSessions ends every session but that of the browser.
func endOtherSessions(v *visit, req *account.Request) (string, error) {
	return v.done("sessions", "sessions_ended"), req.LogoutOthers(v.Context(), v.who.Account.ID, v.who.Token.Login())
}
