package mail

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"

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

// smtpMechanisms are those to choose from where no setting names one, the best
// first: the ones that don't show the password come before those that do.
var smtpMechanisms = []string{"SCRAM-SHA-256", "SCRAM-SHA-1", "NTLM", "CRAM-MD5", "PLAIN", "LOGIN"}

// smtpAuth authenticates by the first of its mechanisms that the server offers
// and hasn't refused.
type smtpAuth struct {
	mechanisms         []string
	host               string // of the server
	username, password string
	inClear            bool // the password may be shown without encryption

	offered []string // by the server
	chosen  string
	smtp.Auth
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

// choose is the first mechanism that the server offers.
func (a *smtpAuth) choose() (string, bool) {
	for _, m := range a.mechanisms {
		if slices.ContainsFunc(a.offered, func(o string) bool { return strings.EqualFold(o, m) }) {
			return m, true
		}
	}
	return "", false
}

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

// fallBack takes out the mechanism that the server offered and then refused,
// and reports whether there is another one. A refused password is none of
// the mechanism: trying it again would lock the account the sooner.
func (a *smtpAuth) fallBack(err error) bool {
	var refusal *textproto.Error
	if !errors.As(err, &refusal) || refusal.Code != 504 {
		return false
	}
	a.mechanisms = slices.DeleteFunc(slices.Clone(a.mechanisms), func(m string) bool { return m == a.chosen })
	_, ok := a.choose()
	return ok
}
