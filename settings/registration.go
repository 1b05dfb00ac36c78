package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Who may sign up.

// unmarshalRegistration parses the line registration.
func (s *Settings) unmarshalRegistration(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("registration is missing its value: use %s", registrationNames())
	}
	s.Registration = account.Registration(d.Val())
	if err := checkRegistration(s.Registration); err != nil {
		return d.Err(err.Error())
	}
	args := d.RemainingArgs()
	if len(args) > 0 && s.Registration != account.RegistrationApprove {
		return d.Errf("unexpected argument '%s': only 'registration approve' takes addresses", args[0])
	}
	s.Approvers = args
	return nil
}

func registrationNames() string {
	names := make([]string, len(account.Registrations))
	for i, r := range account.Registrations {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

func checkRegistration(r account.Registration) error {
	if slices.Contains(account.Registrations, r) {
		return nil
	}
	return fmt.Errorf("registration is %q: use %s", r, registrationNames())
}

// validateRegistration checks the settings of who may sign up.
func (s *Settings) validateRegistration(m *model.Model) error {
	if err := checkRegistration(s.Registration); err != nil {
		return err
	}
	isID := func(f *model.Field) bool { return f.Name == "id" }
	switch {
	case s.Registration.TakesInvitations() && m.Field("invitation") != nil:
		return fmt.Errorf("user_model: field invitation: the name is reserved with 'registration %s'", s.Registration)
	case len(s.Approvers) > 0 && s.Registration != account.RegistrationApprove:
		return errors.New("approvers are for 'registration approve'")
	case len(s.Approvers) > 0 && s.MailerRaw == nil:
		return errors.New("mailer is missing, though 'registration approve' names addresses to tell")
	case s.QuietRegistration && !s.SendActivationEmail:
		return errors.New("quiet_registration needs send_activation_email: without it, a registration shows whether its address is taken")
	case s.QuietRegistration && m.Username.IsAddress() && s.hasV2():
		return errors.New("quiet_registration doesn't work with 'endpoints v2' where people log in with their address: the answer has the id of the new account, and an address that is taken gets none")
	case s.QuietRegistration && slices.ContainsFunc(m.Required, isID):
		return errors.New("quiet_registration: take id out of required_fields, since an address that is taken gets no account with an id")
	}
	for i, address := range s.Approvers {
		parsed, messages := account.ParseAddress(address)
		if len(messages) > 0 {
			return fmt.Errorf("registration approve: %q is no address such as admin@example.com", address)
		}
		s.Approvers[i] = parsed
	}
	return nil
}
