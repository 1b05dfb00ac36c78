package settings

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/model"
)

// SendsResets reports whether mails to reset a password can be sent.
func (s *Settings) SendsResets() bool { return !slices.Contains(s.Disable, "password_reset") }

// SendsActivations reports whether mails to activate an account can be sent.
func (s *Settings) SendsActivations() bool { return s.SendActivationEmail }

func (s *Settings) validateMails(m *model.Model) error {
	if s.Protocol != "" {
		if err := checkProtocol(s.Protocol); err != nil {
			return err
		}
	}
	if s.SendActivationEmail && m.Username.Name != "email" && !slices.ContainsFunc(m.Required, isEmail) {
		return errors.New("send_activation_email needs an address: put email into required_fields of user_model")
	}
	if err := s.checkComplete(); err != nil {
		return err
	}
	if s.whyMails() != "" && s.MailerRaw != nil {
		if err := checkDomain(s.Domain); err != nil {
			return err
		}
	}
	if err := mail.CheckLinkURL("invitation_url", s.InvitationURL); err != nil {
		return err
	}
	if err := mail.CheckLinkURL("password_reset_confirm_url", s.PasswordResetConfirmURL); err != nil {
		return err
	}
	return mail.CheckLinkURL("activation_url", s.ActivationURL)
}

// checkComplete checks that required settings are present, apart from those that pages
// make up for. It looks at no values, so that it works before placeholders are replaced.
func (s *Settings) checkComplete() error {
	if s.LoginAfterActivation && slices.Contains(s.Disable, "activate") {
		return errors.New("login_after_activation is on, but activate is disabled")
	}
	why := s.whyMails()
	switch {
	case why == "", s.MailerRaw == nil && !s.SendsActivations():
		return nil
	case s.Domain == "":
		return fmt.Errorf("domain is missing: links in mails need it, since %s; without mails, use 'disable password_reset'", why)
	case s.SiteName == "":
		return fmt.Errorf("site_name is missing: mails need it, since %s; without mails, use 'disable password_reset'", why)
	case s.MailerRaw == nil:
		return missingMailer(why)
	}
	return s.checkUsernameResetURL()
}

// CheckLinks checks that there are a mailer, and the URLs of links in mails. Pages make up
// for both: links lead to them, and without a mailer they don't offer what needs mails.
func (s *Settings) CheckLinks(hasMailer bool) error {
	why := s.whyMails()
	switch {
	case why == "":
		return nil
	case !hasMailer:
		return missingMailer(why)
	case s.SendsResets() && s.PasswordResetConfirmURL == "":
		return missingURL("password_reset_confirm_url", "password_reset is enabled")
	case s.SendsActivations() && s.ActivationURL == "":
		return missingURL("activation_url", "send_activation_email is on")
	}
	return nil
}

// whyMails says why mails can be sent. It is empty if none can.
func (s *Settings) whyMails() string {
	switch {
	case s.SendsResets():
		return "password_reset is enabled"
	case s.SendsActivations():
		return "send_activation_email is on"
	case s.sendsUsernameResets():
		return "endpoints has v2 and username_reset is enabled"
	case s.sendsNotices():
		return "settings ask for mails about changes"
	case s.Registration.TakesInvitations() && s.MailerRaw != nil:
		return fmt.Sprintf("registration is %s", s.Registration)
	}
	return ""
}

func missingMailer(why string) error {
	return fmt.Errorf("mailer is missing, though %s: use 'mailer smtp <host:port>', 'mailer file <dir>' or, to try things out, 'mailer log'; without mails, use 'disable password_reset'", why)
}

func missingURL(name, why string) error {
	return fmt.Errorf("%s is missing, though %s: it is the path to the front end's page, such as \"#/%s/{uid}/{token}\"; or add 'djoser_pages /account/*', where links lead to then",
		name, why, strings.TrimSuffix(name, "_url"))
}

func isEmail(f *model.Field) bool { return f.Name == "email" && !f.ReadOnly }

// checkUsernameResetURL checks that there is the URL of a link that no page makes up for.
func (s *Settings) checkUsernameResetURL() error {
	if s.sendsUsernameResets() && s.MailerRaw != nil && s.UsernameResetConfirmURL == "" {
		return errors.New("username_reset_confirm_url is missing, though endpoints has v2: it is the path to the front end's page, such as \"#/username/reset/confirm/{uid}/{token}\"; without that page, use 'disable username_reset'")
	}
	return nil
}

// sendsUsernameResets and sendsNotices report which mails can be sent.
func (s *Settings) sendsUsernameResets() bool {
	return s.hasV2() && !slices.Contains(s.Disable, "username_reset")
}

func (s *V2) sendsNotices() bool {
	return s.SendConfirmationEmail || s.PasswordChangedEmailConfirmation || s.UsernameChangedEmailConfirmation
}

// UsualProtocol returns the scheme of links that no request of a visitor asked for. On the
// machine itself nobody can read them on the way, and few sites have TLS there.
func (s *Settings) UsualProtocol() string {
	host := hostName(domainHost(s.Domain))
	if isLocalhost(host) || net.ParseIP(strings.Trim(host, "[]")).IsLoopback() {
		return "http"
	}
	return "https"
}

// InvitationLink returns the link of an invitation with a code, and what is missing in
// the settings for one.
func (s *Settings) InvitationLink(code string) (link, missing string) {
	switch {
	case s.InvitationURL == "":
		return "", "invitation_url is missing: it is the path to the front end's page for the invited, such as \"#/register/{invitation}\""
	case s.Domain == "":
		return "", "domain is missing: the links of invitations need it"
	}
	return mail.InvitationLink(cmp.Or(s.Protocol, s.UsualProtocol()), s.Domain, s.InvitationURL, code), ""
}
