package pages

import (
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/serializers"
)

// page is one of the pages.
type page struct {
	name      string // of its texts, and of its template
	path      string // under the prefix; {} is any segment
	action    serializers.Action
	protected bool // needs a log-in
	proof     bool // needs a log-in whose owner proved lately who he is; see confirm.go
	always    bool // is there even if the endpoint of the action is disabled
	inNav     bool
	given     func(*visit) bool // reports whether it is offered; nil: yes
	show      func(*visit, *View) error
	answer    func(*visit) error                                    // answers GET by itself, without show; nil: show does
	act       func(*visit, *account.Request) (to string, err error) // what its form does, and where to go then, or "" to show the page; nil: it has none
}

// allPages in the order in which the navigation has them.
var allPages []*page

func init() { // the functions refer to the list
	allPages = []*page{
		{name: "login", path: "login", action: serializers.Login, show: showLogin, act: login},
		{name: "register", path: "register", action: serializers.Register, show: showRegister, act: register},
		{name: "register_sent", path: "register/sent", action: serializers.Register, given: sendsActivations, show: showSent},
		{name: "activate", path: "activate/{}/{}", action: serializers.Activate, given: hasMailer, show: showActivate, act: activate},
		{name: "resend", path: "resend", action: serializers.ActivateResend, given: sendsActivations, show: showMailForm, act: resend},
		{name: "password_reset", path: "password/reset", action: serializers.PasswordReset, given: hasMailer, show: showMailForm, act: requestReset},
		{name: "password_reset_sent", path: "password/reset/sent", action: serializers.PasswordReset, given: hasMailer, show: showSent},
		{name: "password_reset_confirm", path: "password/reset/confirm/{}/{}", action: serializers.ResetConfirm, given: hasMailer, show: showResetConfirm, act: resetPassword},
		{name: "profile", path: "profile", action: serializers.Me, protected: true, inNav: true, show: showProfile, act: setFields},
		{name: "username", path: "username", action: serializers.Username, protected: true, proof: true, inNav: true, show: showUsername, act: setUsername},
		{name: "email", path: "email", action: serializers.Me, protected: true, proof: true, inNav: true, given: hasEmail, show: showEmail, act: setEmail},
		{name: "password", path: "password", action: serializers.Password, protected: true, proof: true, inNav: true, show: showPassword, act: setPassword},
		{name: "identities", path: "identities", action: serializers.Identities, protected: true, proof: true, inNav: true, given: hasProviders, show: showIdentities, act: unlink},
		{name: "sessions", path: "sessions", action: serializers.Tokens, protected: true, inNav: true, show: showSessions, act: endSession},
		{name: "sessions", path: "sessions/others", action: serializers.LogoutOthers, protected: true, show: showSessions, act: endOtherSessions},
		{name: "tokens", path: "tokens", action: serializers.NamedToken, protected: true, proof: true, inNav: true, show: showTokens, act: makeToken},
		{name: "tokens", path: "tokens/end", action: serializers.Tokens, protected: true, show: showTokens, act: endToken},
		{name: "login", path: "o/{}", action: serializers.LoginProvider, given: hasProviders, answer: beginLogin},
		{name: "login", path: "o/{}/callback", action: serializers.LoginProvider, given: hasProviders, answer: finishLogin},
		{name: "mfa", path: "mfa", action: serializers.TOTPActivate, protected: true, proof: true, inNav: true, given: hasMFA, show: showMFA, act: setUpFactor},
		{name: "verify", path: "verify", action: serializers.MFAVerify, given: hasMFA, show: showVerify, act: verify},
		{name: "prove", path: "prove", action: serializers.Reauthenticate, protected: true, given: hasMFA, show: showProve, act: confirm},
		{name: "confirm", path: "confirm", action: serializers.Reauthenticate, protected: true, always: true, show: showConfirm, act: confirm},
		{name: "mfa_offer", path: "mfa/offer", action: serializers.TOTPActivate, protected: true, given: hasMFA, show: showOffer},
		{name: "mfa_codes", path: "mfa/codes", action: serializers.RecoveryCodes, protected: true, given: hasMFA, show: showNewCodes, act: newCodes},
		{name: "mfa_remove", path: "mfa/remove", action: serializers.TOTPDeactivate, protected: true, given: hasMFA, show: showRemoveFactor, act: removeFactor},
		{name: "passkey", path: "passkey", action: serializers.PasskeyLogin, given: hasPasskeys, show: showPasskeyLogin, act: loginByPasskey},
		{name: "verify", path: "verify/passkey", action: serializers.PasskeyLogin, given: hasPasskeyFactor, show: showVerify, act: loginByPasskey},
		{name: "passkeys", path: "passkeys", action: serializers.PasskeyAdd, protected: true, proof: true, inNav: true, given: hasPasskeys, show: showPasskeys, act: addPasskey},
		{name: "passkeys", path: "passkeys/remove", action: serializers.PasskeyRemove, protected: true, proof: true, given: hasPasskeys, show: showPasskeys, act: removePasskey},
		{name: "logout", path: "logout", action: serializers.Logout, always: true, show: showLogout, act: logout},
		{name: "delete", path: "delete", action: serializers.Delete, protected: true, proof: true, show: showDelete, act: deleteAccount},
		{name: "deleted", path: "deleted", action: serializers.Delete, show: showDeleted},
		{name: "profile", path: "", action: serializers.Me, protected: true, show: showProfile, act: setFields},
	}
}

// templateNames are the names of the templates: those of the pages, and message.
func templateNames() []string {
	names := []string{"message"}
	for _, p := range allPages {
		if !slices.Contains(names, p.name) {
			names = append(names, p.name)
		}
	}
	return names
}

func pageOf(path string) *page {
	return allPages[slices.IndexFunc(allPages, func(p *page) bool { return p.path == path })]
}

func pageNamed(name string) *page {
	return allPages[slices.IndexFunc(allPages, func(p *page) bool { return p.name == name })]
}

// match reports whether the page has a path, and returns the values of {} in it.
func (p *page) match(segments []string) (params []string, ok bool) {
	own := strings.Split(p.path, "/")
	if len(own) != len(segments) {
		return nil, false
	}
	for i, s := range own {
		switch {
		case s == "{}" && segments[i] != "":
			params = append(params, segments[i])
		case s != segments[i]:
			return nil, false
		}
	}
	return params, true
}

// hasLink reports whether a path begins as those of links in mails, which have a token.
func hasLink(path string) bool {
	return slices.ContainsFunc(allPages, func(p *page) bool {
		base, _, found := strings.Cut(p.path, "{}")
		return found && strings.HasPrefix(path, base)
	})
}

// isPage reports whether there are pages at a path or below it.
func isPage(path string) bool {
	return path != "" && slices.ContainsFunc(allPages, func(p *page) bool {
		return p.path == path || strings.HasPrefix(p.path, path+"/")
	})
}

// hasMailer reports whether mails can be sent.
func hasMailer(v *visit) bool { return v.realm.SendsMails }

// sendsActivations reports whether new accounts wait for a mail.
func sendsActivations(v *visit) bool { return v.realm.SendsMails && v.realm.SendsActivations }

// hasEmail reports whether people can change their address, apart from the name that they
// log in with.
func hasEmail(v *visit) bool {
	return slices.ContainsFunc(v.realm.Model.Required, func(f *model.Field) bool { return f.Name == "email" && !f.ReadOnly })
}
