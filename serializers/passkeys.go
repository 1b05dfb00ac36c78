package serializers

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
)

// Passkeys. Source of the names in options: WebAuthn, 5.4 and 5.5, as JSON.

const msgPasskey = "This passkey isn't valid here, or the request for it is too old or was used."

// maxPasskeyName is the maximum length of a passkey's name in characters.
const maxPasskeyName = 100

// passkeyBeginInputs are members of which one proves who the owner of a log-in is.
func (s *Serializers) passkeyBeginInputs() []drf.Input {
	return s.withPasskey(s.withPassword(false, drf.Input{Name: "code"})...)
}

// withPasskey adds credential to the members of an action that a passkey proves.
func (s *Serializers) withPasskey(inputs ...drf.Input) []drf.Input {
	if !s.Passkeys {
		return inputs
	}
	return append(inputs, drf.Input{Name: "credential"})
}

func (s *Serializers) passkeyInputs() []drf.Input {
	return []drf.Input{{Name: "credential", Required: true}, {Name: "name", MaxLength: maxPasskeyName}}
}

func (s *Serializers) passkeyLoginBeginInputs() []drf.Input {
	return []drf.Input{{Name: "ephemeral_token"}}
}

func (s *Serializers) passkeyLoginInputs() []drf.Input {
	return []drf.Input{{Name: "credential", Required: true}, {Name: "ephemeral_token"}}
}

func (s *Serializers) passkeyNameInputs() []drf.Input {
	return []drf.Input{{Name: "name", Required: true, MaxLength: maxPasskeyName}}
}

// bindFactor is Bind for inputs of which credential is the answer of a passkey: an object, or
// its JSON as a text, as forms have it.
func (s *Serializers) bindFactor(o *drf.Object, inputs []drf.Input) (model.Values, account.FactorAnswer, drf.FieldErrors) {
	var others []drf.Input
	var answer []byte
	required := false
	for _, in := range inputs {
		if in.Name != "credential" {
			others = append(others, in)
			continue
		}
		required = in.Required
		switch credential := o.Values["credential"].(type) {
		case string:
			if credential != "" {
				answer = []byte(credential)
			}
		case *drf.Object:
			answer, _ = json.Marshal(credential) // fails for numbers that JSON doesn't have
		}
	}
	v, errs := s.Version.Bind(o, others)
	if required && answer == nil {
		errs.Add("credential", fieldtype.MsgRequired)
	}
	return v, account.FactorAnswer{Code: v.Text("code"), Passkey: answer}, errs
}

// HasPasskeys reports whether options are for somebody who has passkeys.
func (o *PasskeyOptions) HasPasskeys() bool {
	r, ok := o.PublicKey.(requestOptions)
	return ok && len(r.Allow) > 0
}

// PasskeyOptions are what a browser needs for a passkey.
type PasskeyOptions struct {
	PublicKey any `json:"publicKey"`
}

type passkeyParty struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type passkeyUser struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
}

type passkeyKind struct {
	Type      string `json:"type"`
	Algorithm int    `json:"alg"`
}

type passkeyID struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

type passkeySelection struct {
	ResidentKey        string `json:"residentKey"`
	RequireResidentKey bool   `json:"requireResidentKey"`
	UserVerification   string `json:"userVerification"`
}

type creationOptions struct {
	Party     passkeyParty     `json:"rp"`
	User      passkeyUser      `json:"user"`
	Challenge string           `json:"challenge"`
	Kinds     []passkeyKind    `json:"pubKeyCredParams"`
	Timeout   int              `json:"timeout"` // in milliseconds
	Exclude   []passkeyID      `json:"excludeCredentials"`
	Selection passkeySelection `json:"authenticatorSelection"`
	Attests   string           `json:"attestation"`
}

type requestOptions struct {
	Challenge        string      `json:"challenge"`
	Timeout          int         `json:"timeout"` // in milliseconds
	Party            string      `json:"rpId"`
	Allow            []passkeyID `json:"allowCredentials"`
	UserVerification string      `json:"userVerification"`
}

const (
	passkeyTimeout  = 300_000 // as long as a challenge is good
	passkeyRequired = "required"
)

// passkeyKinds are the signatures that package passkeys takes: ES256, EdDSA and RS256.
var passkeyKinds = []passkeyKind{{"public-key", -7}, {"public-key", -8}, {"public-key", -257}}

func base64URL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func passkeyIDs(acc *model.Account) []passkeyID {
	ids := []passkeyID{}
	if acc != nil {
		for _, p := range acc.Passkeys {
			ids = append(ids, passkeyID{"public-key", base64URL(p.Credential)})
		}
	}
	return ids
}

// BeginPasskey returns the options of a new passkey. A stolen log-in doesn't get them.
func (s *Serializers) BeginPasskey(ctx context.Context, accounts *account.Service, req *account.Request, t *model.Token, o *drf.Object) (*PasskeyOptions, error) {
	v, f, errs := s.bindFactor(o, s.passkeyBeginInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	if err := s.checkFactorProof(ctx, req, t, v, f); err != nil {
		return nil, err
	}
	return s.NewPasskeyOptions(ctx, accounts, t)
}

// NewPasskeyOptions is BeginPasskey after a proof.
func (s *Serializers) NewPasskeyOptions(ctx context.Context, accounts *account.Service, t *model.Token) (*PasskeyOptions, error) {
	acc, challenge, err := accounts.NewPasskeyChallenge(ctx, t)
	if err != nil {
		return nil, err
	}
	rp, name := accounts.RelyingParty, s.Model.Name(acc)
	return &PasskeyOptions{creationOptions{
		Party: passkeyParty{rp.ID, cmp.Or(rp.Name, rp.ID)}, User: passkeyUser{base64URL(accounts.PasskeyHandle(acc)), name, name},
		Challenge: base64URL(challenge), Kinds: passkeyKinds, Timeout: passkeyTimeout, Exclude: passkeyIDs(acc),
		Selection: passkeySelection{passkeyRequired, true, passkeyRequired}, Attests: "none",
	}}, nil
}

// NewPasskey is a passkey that was just added.
type NewPasskey struct {
	Passkey
	Codes []string `json:"recovery_codes,omitempty"` // with the first second factor
}

// AddPasskey adds the passkey that a browser has made.
func (s *Serializers) AddPasskey(ctx context.Context, req *account.Request, t *model.Token, o *drf.Object) (*NewPasskey, error) {
	v, f, errs := s.bindFactor(o, s.passkeyInputs())
	name := cmp.Or(strings.TrimSpace(v.Text("name")), "Passkey")
	checkPasskeyName(name, errs)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	p, codes, err := req.AddPasskey(ctx, t.Account, t.Login(), name, f.Passkey)
	if err != nil {
		return nil, explainFactor(err)
	}
	return &NewPasskey{RepresentPasskey(p), codes}, nil
}

func checkPasskeyName(name string, errs drf.FieldErrors) {
	if len(errs["name"]) == 0 && (len(fieldtype.CheckText(name)) > 0 || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) })) {
		errs.Add("name", msgControl)
	}
}

// BeginPasskeyLogin returns the options of a log-in: of the account of an ephemeral token,
// which asks for a second factor, or else of whoever has a passkey. With a token, they are for
// the passkeys of its account, to prove who its owner is.
func (s *Serializers) BeginPasskeyLogin(ctx context.Context, accounts *account.Service, t *model.Token, o *drf.Object) (*PasskeyOptions, error) {
	v, errs := s.Version.Bind(o, s.passkeyLoginBeginInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	if ephemeral := v.Text("ephemeral_token"); ephemeral != "" {
		options, err := s.SecondPasskey(ctx, accounts, ephemeral)
		return options, explainEphemeral(err)
	}
	var acc *model.Account
	if t != nil {
		var err error
		if acc, err = accounts.Store.Account(ctx, t.Account); err != nil {
			return nil, err
		}
	}
	return LoginPasskey(accounts, acc), nil
}

// SecondPasskey returns the options of a log-in that needs a second factor. Errors:
// account.ErrLink.
func (s *Serializers) SecondPasskey(ctx context.Context, accounts *account.Service, ephemeral string) (*PasskeyOptions, error) {
	acc, challenge, err := accounts.FactorChallenge(ctx, ephemeral)
	if err != nil {
		return nil, err
	}
	return requestPasskey(accounts, acc, challenge), nil
}

// LoginPasskey returns the options of a log-in with a passkey; with an account, of its own.
func LoginPasskey(accounts *account.Service, acc *model.Account) *PasskeyOptions {
	return requestPasskey(accounts, acc, accounts.LoginChallenge())
}

func requestPasskey(accounts *account.Service, acc *model.Account, challenge []byte) *PasskeyOptions {
	return &PasskeyOptions{requestOptions{
		Challenge: base64URL(challenge), Timeout: passkeyTimeout, Party: accounts.RelyingParty.ID,
		Allow: passkeyIDs(acc), UserVerification: passkeyRequired,
	}}
}

// LoginByPasskey logs in with a passkey alone, or finishes a log-in that needs a second factor.
// With sessions, a log-in with a passkey alone is one.
func (s *Serializers) LoginByPasskey(ctx context.Context, req *account.Request, o *drf.Object, sessions bool) (*Verified, error) {
	v, f, errs := s.bindFactor(o, s.passkeyLoginInputs())
	if err := errs.Err(); err != nil {
		return nil, err
	}
	id := ""
	if sessions {
		id = jwt.NewSession()
	}
	f.Code = ""
	done := new(Verified)
	var err error
	if ephemeral := v.Text("ephemeral_token"); ephemeral != "" {
		done.Account, done.Token, done.Session, err = req.VerifyFactor(ctx, ephemeral, f, id)
	} else {
		done.Account, done.Token, done.Session, err = req.LoginByPasskey(ctx, f.Passkey, id)
	}
	if err != nil {
		return nil, explainEphemeral(explainFactor(err))
	}
	return done, nil
}

// explainEphemeral returns an error about an ephemeral token in dj-rest-auth's words.
func explainEphemeral(err error) error {
	if errors.Is(err, account.ErrLink) {
		return &refusal{err, drf.Invalid("ephemeral_token", msgEphemeral)}
	}
	return err
}

// RenamePasskey gives a passkey another name.
func (s *Serializers) RenamePasskey(ctx context.Context, req *account.Request, t *model.Token, id string, o *drf.Object) (*Passkey, error) {
	v, errs := s.Version.Bind(o, s.passkeyNameInputs())
	name := strings.TrimSpace(v.Text("name"))
	if name == "" && len(errs) == 0 {
		errs.Add("name", fieldtype.MsgRequired)
	}
	checkPasskeyName(name, errs)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	p, err := req.RenamePasskey(ctx, t.Account, id, name)
	if err != nil {
		return nil, err
	}
	shown := RepresentPasskey(p)
	return &shown, nil
}

// RemovePasskey removes a passkey. A stolen log-in can't.
func (s *Serializers) RemovePasskey(ctx context.Context, req *account.Request, t *model.Token, id string, o *drf.Object) error {
	v, f, errs := s.bindFactor(o, s.passkeyBeginInputs())
	if err := errs.Err(); err != nil {
		return err
	}
	if err := s.checkFactorProof(ctx, req, t, v, f); err != nil {
		return err
	}
	return req.RemovePasskey(ctx, t.Account, id)
}

// Passkey is a passkey for its owner.
type Passkey struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Created time.Time  `json:"created"`
	Used    *time.Time `json:"last_used"`
}

// RepresentPasskey returns a passkey for its owner.
func RepresentPasskey(p *model.Passkey) Passkey {
	return Passkey{ID: p.ID(), Name: p.Name, Created: p.Created.UTC(), Used: drf.TimeOrNil(p.Used.UTC())}
}

// RepresentPasskeys returns the passkeys of an account for its owner.
func RepresentPasskeys(acc *model.Account) []Passkey {
	list := []Passkey{}
	for i := range acc.Passkeys {
		list = append(list, RepresentPasskey(&acc.Passkeys[i]))
	}
	return list
}
