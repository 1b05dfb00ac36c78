package mail

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/wneessen/go-mail/smtp"
)

// Values of SMTPMailer.Auth.
const (
	authPlain   = "plain"
	authLogin   = "login"
	authCramMD5 = "cram-md5"
	authXOAuth2 = "xoauth2"
	authNone    = "none"
)

var authModes = []string{authPlain, authLogin, authCramMD5, authXOAuth2, authNone}

// smtpMechanisms are the mechanisms used without the setting auth, the best
// first. Those that don't send the password come before those that do.
var smtpMechanisms = []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "NTLM", "CRAM-MD5", "PLAIN", "LOGIN"}

// smtpAuth authenticates by the first of its mechanisms that the server offers
// and hasn't refused.
type smtpAuth struct {
	mechanisms         []string
	host               string // of the server
	username, password string
	inClear            bool // the password may be sent without encryption

	offered []string // by the server
	chosen  string
	smtp.Auth
}

// auth returns how to authenticate, nil for not at all.
func (s *SMTPMailer) auth() (*smtpAuth, error) {
	if s.username == "" {
		return nil, nil
	}
	password, err := directive.Expand("password", s.Password) // a token in a file changes
	if err != nil {
		return nil, err
	}
	mechanisms := smtpMechanisms
	if s.Auth != "" {
		mechanisms = []string{strings.ToUpper(s.Auth)}
	}
	return &smtpAuth{mechanisms: mechanisms, host: s.host, username: s.username, password: password, inClear: s.mode == tlsNone}, nil
}

// Start implements smtp.Auth.
func (a *smtpAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	a.offered = server.Auth
	var ok bool
	if a.chosen, ok = a.choose(); !ok {
		offered := "no authentication"
		if len(server.Auth) > 0 {
			offered = strings.Join(server.Auth, ", ")
		}
		return "", nil, fmt.Errorf("no way to authenticate: the server offers %s, this mailer would use %s",
			offered, strings.Join(a.mechanisms, ", "))
	}
	a.Auth = a.mechanism()
	return a.Auth.Start(server)
}

// choose returns the first mechanism that the server offers.
func (a *smtpAuth) choose() (string, bool) {
	for _, m := range a.mechanisms {
		if slices.ContainsFunc(a.offered, func(o string) bool { return strings.EqualFold(o, m) }) {
			return m, true
		}
	}
	return "", false
}

// mechanism returns the chosen mechanism.
func (a *smtpAuth) mechanism() smtp.Auth {
	switch a.chosen {
	case "SCRAM-SHA-256":
		return smtp.ScramSHA256Auth(a.username, a.password)
	case "SCRAM-SHA-1":
		return smtp.ScramSHA1Auth(a.username, a.password)
	case "NTLM":
		return smtp.NTLMAuth(a.username, a.password, "")
	case "CRAM-MD5":
		return smtp.CRAMMD5Auth(a.username, a.password)
	case "XOAUTH2":
		return smtp.XOAuth2Auth(a.username, a.password)
	case "LOGIN":
		return smtp.LoginAuth(a.username, a.password, a.host, a.inClear)
	}
	return smtp.PlainAuth("", a.username, a.password, a.host, a.inClear)
}

// fallBack removes the mechanism that the server offered and then refused with
// 504, and reports whether there is another one. A wrong password isn't tried
// with another mechanism: that would only lock the account sooner.
func (a *smtpAuth) fallBack(err error) bool {
	var refusal *textproto.Error
	if !errors.As(err, &refusal) || refusal.Code != 504 {
		return false
	}
	a.mechanisms = slices.DeleteFunc(slices.Clone(a.mechanisms), func(m string) bool { return m == a.chosen })
	_, ok := a.choose()
	return ok
}
