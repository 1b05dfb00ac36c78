package serializers

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/fieldtype"
	"github.com/caddy-djoser/djoser/model"
)

// Token is a log-in or a named token for its owner.
type Token struct {
	ID       string     `json:"id"`
	Created  time.Time  `json:"created"`
	LastUsed time.Time  `json:"last_used"` // to the hour
	Expires  *time.Time `json:"expires"`
	Address  string     `json:"address"`
	Agent    string     `json:"agent"`
	Current  bool       `json:"current"`         // of this request
	Name     string     `json:"name,omitempty"`  // of a named token
	Scopes   []string   `json:"scopes,omitzero"` // of a named token
}

// RepresentTokens returns tokens for their owner.
func RepresentTokens(tokens []*model.Token, current model.Digest) []Token {
	list := make([]Token, len(tokens))
	for i, t := range tokens {
		used := t.Used
		if used.Before(t.Created) {
			used = t.Created
		}
		list[i] = Token{
			ID: t.Digest.ID(), Created: t.Created.UTC(), LastUsed: used.UTC(), Expires: drf.TimeOrNil(t.Expires.UTC()),
			Address: t.Address, Agent: t.Agent, Current: t.Digest == current, Name: t.Name,
		}
		if t.IsNamed() {
			list[i].Scopes = append([]string{}, t.Scopes...)
		}
	}
	return list
}

// NewToken is a named token when it is made, the only time that it is shown.
type NewToken struct {
	Token
	Value string `json:"token"`
}

// Bounds of a named token.
const (
	maxTokenName = 100 // characters
	maxScopes    = 20
	maxDays      = 36500
)

const (
	msgExpires = "Use a date and time such as 2027-01-31T12:00:00Z, a date, or a time from now such as 90d."
	msgPast    = "This is in the past."
	msgTooFar  = "This is later than tokens may last here."
	msgScopes  = "Use a list of at most 20 words. A word has letters, digits and . _ : / -, and at most 64 of them."
	msgControl = "This field has characters that can't be shown."
	msgTooMany = "You have too many named tokens. End one of them."
)

// namedTokenInputs are the members of a named token. As when it expires and as scopes,
// NamedToken takes more than text.
func (s *Serializers) namedTokenInputs() []drf.Input {
	return s.withPassword(false, drf.Input{Name: "name", Required: true, MaxLength: maxTokenName}, drf.Input{Name: "expires"}, drf.Input{Name: "scopes"})
}

// NamedToken makes a named token for the account of a log-in. Scopes are a list, or one text
// with spaces. It needs a proof.
func (s *Serializers) NamedToken(ctx context.Context, req *account.Request, login *model.Token, rules *account.Rules, now time.Time, o *drf.Object) (*NewToken, error) {
	ofText := slices.DeleteFunc(s.namedTokenInputs(), func(in drf.Input) bool { return in.Name == "expires" || in.Name == "scopes" })
	v, errs := s.Version.Bind(o, ofText)
	expires, ok := o.Values["expires"].(string)
	if !ok && o.Values["expires"] != nil {
		errs.Add("expires", msgExpires)
	}
	scopes, ok := words(o.Values["scopes"])
	if !ok {
		errs.Add("scopes", msgScopes)
	}
	t := CheckNamedToken(v.Text("name"), expires, scopes, rules, now, errs)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	if _, err := s.checkProof(ctx, req, login, v); err != nil {
		return nil, err
	}
	value, err := req.MakeNamed(ctx, login.Account, login.Login(), t)
	if err != nil {
		return nil, err
	}
	return RepresentNew(t, value), nil
}

// RepresentNew returns a named token that was just made.
func RepresentNew(t *model.Token, value string) *NewToken {
	return &NewToken{RepresentTokens([]*model.Token{t}, model.Digest{})[0], value}
}

// words returns the words of a list or of a text, or false for anything else.
func words(raw any) (list []string, ok bool) {
	switch raw := raw.(type) {
	case nil:
		return nil, true
	case string:
		return strings.Fields(raw), true
	case []any:
		for _, item := range raw {
			word, isText := item.(string)
			if !isText {
				return nil, false
			}
			list = append(list, word)
		}
		return list, true
	}
	return nil, false
}

// CheckNamedToken returns a named token with checked members, or adds to errs what is wrong
// with them. expires may be a time in ISO 8601, a date, a time from now such as 90d, or
// empty: as long as the rules allow.
func CheckNamedToken(name, expires string, scopes []string, rules *account.Rules, now time.Time, errs drf.FieldErrors) *model.Token {
	t := &model.Token{Name: strings.TrimSpace(name)}
	switch {
	case len(errs["name"]) > 0:
	case t.Name == "":
		errs.Add("name", "This field may not be blank.")
	case fieldtype.Characters(t.Name) > maxTokenName:
		errs.Add("name", fieldtype.MsgTooLong(maxTokenName, fieldtype.Characters(t.Name)))
	case len(fieldtype.CheckText(t.Name)) > 0, strings.ContainsFunc(t.Name, func(c rune) bool { return !unicode.IsPrint(c) }):
		errs.Add("name", msgControl)
	}
	for _, scope := range scopes {
		if !account.IsScope(scope) || len(scopes) > maxScopes {
			errs.Add("scopes", msgScopes)
			break
		}
		t.Scopes = append(t.Scopes, scope)
	}
	slices.Sort(t.Scopes)
	t.Scopes = slices.Compact(t.Scopes)
	now = now.UTC().Truncate(time.Microsecond) // as times are stored
	latest := now.AddDate(0, 0, maxDays)
	if rules.NamedTTL > 0 {
		latest = now.Add(rules.NamedTTL)
	}
	switch at, err := parseExpires(strings.TrimSpace(expires), now); {
	case expires == "" && rules.NamedTTL > 0:
		t.Expires = latest
	case expires == "":
	case err != nil:
		errs.Add("expires", msgExpires)
	case !at.After(now):
		errs.Add("expires", msgPast)
	case at.After(latest):
		errs.Add("expires", msgTooFar)
	default:
		t.Expires = at.Truncate(time.Microsecond)
	}
	return t
}

// parseExpires returns when a named token expires. A date includes the day.
func parseExpires(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	if number, found := strings.CutSuffix(text, "d"); found {
		days, err := strconv.ParseInt(number, 10, 32) // later than maxDays at most
		return now.AddDate(0, 0, int(days)), err
	}
	d, err := time.ParseDuration(text)
	return now.Add(d), err
}
