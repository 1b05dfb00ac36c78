package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/serializers"
)

// The bodies of requests and answers in openapi.json.

// answer is the answer to a successful request.
type answer struct {
	status int                                   // zero: 200, or 204 in djoser 2
	body   func(*description, *operation) object // its schema; nil, or a result of nil: none
}

var (
	noBody        = answer{}
	noContent     = answer{status: http.StatusNoContent}
	user          = answer{http.StatusOK, (*description).user}
	users         = answer{http.StatusOK, (*description).users}
	newUser       = answer{http.StatusCreated, (*description).newUser}
	authToken     = answer{http.StatusOK, (*description).authToken}
	activated     = answer{0, (*description).activated}
	tokens        = answer{http.StatusOK, (*description).tokens}
	newToken      = answer{http.StatusCreated, (*description).newToken}
	identities    = answer{http.StatusOK, (*description).identities}
	authorization = answer{http.StatusOK, (*description).authorization}
	providerLogin = answer{http.StatusCreated, (*description).providerLogin}
	links         = answer{http.StatusOK, (*description).links}
	newPair       = answer{http.StatusOK, (*description).newPair}
	refreshed     = answer{http.StatusOK, (*description).refreshed}
	keySet        = answer{http.StatusOK, (*description).keySet}
	healthy       = answer{http.StatusOK, (*description).health}
	anything      = answer{http.StatusOK, (*description).anything}
)

// shared adds a schema under a name, and returns a reference to it.
func (d *description) shared(name string, schema object) object {
	d.schemas[name] = schema
	return object{"$ref": "#/components/schemas/" + name}
}

// record returns the schema of an object. All members are required but the optional ones.
func record(members object, optional ...string) object {
	required := []string{}
	for name := range members {
		if !slices.Contains(optional, name) {
			required = append(required, name)
		}
	}
	slices.Sort(required)
	return object{"type": "object", "properties": members, "required": required}
}

func list(of object) object { return object{"type": "array", "items": of} }

var (
	text    = object{"type": "string"}
	texts   = list(text)
	instant = object{"type": "string", "format": "date-time"}
)

// userMembers returns the members of an account. See drf.Represent.
func (d *description) userMembers(l Layout) object {
	members := make(object)
	for _, f := range d.api.Model.Required {
		members[f.Name] = drf.FieldSchema(f)
	}
	if l == V2 {
		members["id"] = object{"type": "integer", "format": "int64", "title": "ID", "readOnly": true}
	}
	name := drf.FieldSchema(d.api.Model.Username)
	name["readOnly"] = true
	members[d.api.Model.Username.Name] = name
	return members
}

func (d *description) user(op *operation) object {
	return d.shared(d.name(op.layout, "User"), record(d.userMembers(op.layout)))
}

func (d *description) users(op *operation) object { return list(d.user(op)) }

func (d *description) newUser(op *operation) object {
	rules := d.accounts.Rules
	if op.layout == V2 || !rules.LoginAfterRegistration || rules.SendActivationEmail {
		return d.user(op)
	}
	members := d.userMembers(op.layout)
	members["auth_token"] = text
	return d.shared("NewUser", record(members, "auth_token"))
}

func (d *description) authToken(*operation) object {
	return d.orFactor(d.token())
}

func (d *description) token() object {
	return d.shared("AuthToken", record(object{"auth_token": text}))
}

// activated is a log-in, unless the link was that of a new address.
func (d *description) activated(op *operation) object {
	if op.layout == V2 || !d.accounts.Rules.LoginAfterActivation {
		return nil
	}
	return d.authToken(op)
}

// tokenMembers describes serializers.Token.
func tokenMembers() object {
	return object{
		"id":        text,
		"created":   instant,
		"last_used": object{"type": "string", "format": "date-time", "description": "To the hour."},
		"expires":   object{"type": []string{"string", "null"}, "format": "date-time", "description": "Null: never."},
		"address":   object{"type": "string", "description": "The address that it was created from."},
		"agent":     object{"type": "string", "description": "The browser that it was created with."},
		"current":   object{"type": "boolean", "description": "Whether it is the token of this request."},
		"name":      object{"type": "string", "description": "Of a named token."},
		"scopes":    object{"type": "array", "items": text, "description": "Of a named token."},
	}
}

func (d *description) tokens(*operation) object {
	return list(d.shared("Token", record(tokenMembers(), "name", "scopes")))
}

// newToken describes serializers.NewToken.
func (d *description) newToken(*operation) object {
	members := tokenMembers()
	members["token"] = text
	return d.shared("NewToken", record(members))
}

func (d *description) links(*operation) object {
	return object{"type": "object", "additionalProperties": object{"type": "string", "format": "uri"}}
}

func (d *description) authorization(*operation) object {
	return d.shared("Authorization", record(object{"authorization_url": object{"type": "string", "format": "uri"}}))
}

func (d *description) providerLogin(*operation) object {
	members := object{"user": text, "auth_token": text}
	if d.api.Auth.JWT != nil {
		members = object{"user": text, "access": text, "refresh": text}
	}
	return d.shared("ProviderLogin", record(members))
}

// identity describes serializers.Identity.
func (d *description) identity() object {
	return d.shared("Identity", record(object{"id": text, "provider": text, "name": text, "linked": instant}))
}

func (d *description) identities(*operation) object { return list(d.identity()) }

// pair describes serializers.Pair.
func (d *description) pair(*operation) object {
	return d.shared("TokenPair", record(object{"refresh": text, "access": text}))
}

// newPair is a pair as the answer to a log-in.
func (d *description) newPair(op *operation) object { return d.orFactor(d.pair(op)) }

// refreshed is a pair, or the access token alone.
func (d *description) refreshed(op *operation) object {
	if d.accounts.Rules.RotateSessions {
		return d.pair(op)
	}
	return d.shared("AccessToken", record(object{"access": text}))
}

// keySet describes a jose.JSONWebKeySet.
func (d *description) keySet(*operation) object {
	key := record(object{"kty": text, "kid": text, "use": text, "alg": text, "crv": text, "x": text, "y": text})
	return d.shared("KeySet", record(object{"keys": list(key)}))
}

func (d *description) anything(*operation) object { return object{"type": "object"} }

// requestBody describes the members that an operation takes.
func (d *description) requestBody(op *operation) object {
	members, optional := make(object), []string{}
	for _, in := range op.inputs.Members(op.Action) {
		if in.Field != nil && in.Field.ReadOnly {
			continue
		}
		members[in.Name] = op.member(&in)
		if !in.Required || op.method == http.MethodPatch {
			optional = append(optional, in.Name)
		}
	}
	ref := d.shared(d.typeOf(op, "Request"), record(members, optional...))
	content := make(object)
	for _, media := range drf.Parses {
		content[media] = object{"schema": ref}
	}
	return object{"required": len(members) > len(optional), "content": content}
}

// member describes a member that an operation takes. Those of named tokens may be more than
// text; see serializers.NamedToken.
func (op *operation) member(in *drf.Input) object {
	isNamed := op.Name == serializers.NamedToken.Name
	switch {
	case isNamed && in.Name == "expires":
		return object{"type": []string{"string", "null"}, "description": "A date, with or without a time, or a time from now such as 90d. Null: as long as possible."}
	case isNamed && in.Name == "scopes":
		return object{"anyOf": []object{texts, text}, "description": "Words in a list, or in a text with spaces."}
	case in.Name == "credential":
		return credential()
	}
	return in.Schema()
}

// errors describes messages by member.
func (d *description) errors(op *operation) object {
	members := object{drf.NonField: texts, "detail": object{"type": "string", "description": "The body can't be read."}}
	names := []string{d.api.Model.Username.Name} // classic endpoints name the field, not the member
	if op.Name == serializers.LoginProvider.Name {
		names = append(names, "redirect_uri")
	}
	for _, in := range op.inputs.Members(op.Action) {
		names = append(names, in.Name)
	}
	for _, name := range names {
		members[name] = texts
	}
	schema := d.shared(d.typeOf(op, "Errors"), object{"type": "object", "properties": members})
	if op.layout == V2 && d.api.ShowEmailNotFound && (op.Name == "password_reset" || op.Name == "username_reset") {
		return object{"anyOf": []object{schema, texts}} // see serializers.requestMail
	}
	return schema
}

// responses describes the answers to an operation by their status.
func (d *description) responses(op *operation) object {
	all := object{"4XX": sharedResponse("Refused"), "503": sharedResponse("Unavailable")}
	if !op.neverSends(d.api) {
		status, success := d.success(op)
		all[status] = success
	}
	if op.takesMembers() {
		all["400"] = withBody("Members are missing or wrong.", d.errors(op))
	}
	if op.Name == serializers.LoginProvider.Name {
		all["400"] = withBody("Members or parameters are missing or wrong.", d.errors(op))
		all["502"] = sharedResponse("BadGateway")
		if op.serve != nil {
			all["200"] = withBody("Linked to the account of the token.", d.shared("ProviderLinked", record(object{"user": text, "identity": d.identity()})))
		}
	}
	if d.mayRefuseToken(op) {
		all["401"] = sharedResponse("Unauthorized")
	}
	if d.mayForbid(op) {
		all["403"] = sharedResponse("Forbidden")
	}
	if d.mayNotFind(op) {
		all["404"] = sharedResponse("NotFound")
	}
	if op.Name == health.Name {
		all["503"] = withBody("Requests can't be served for a while.", d.health(op))
	}
	if op.serve != nil {
		all["429"] = sharedResponse("TooManyRequests")
	}
	return all
}

// mayRefuseToken reports whether an operation may say that a token is missing or wrong.
func (d *description) mayRefuseToken(op *operation) bool {
	if op.anonymous {
		return op.serve != nil // those in the body
	}
	return d.needsToken(op) || !d.api.IgnoreBadToken
}

// neverSends reports whether an operation is there, but refuses everything. See serveResend.
func (op *operation) neverSends(a *API) bool {
	return op.Name == serializers.ActivateResend.Name && !a.SendsActivations
}

func (d *description) success(op *operation) (status string, described object) {
	code, schema := op.answer.status, object(nil)
	if op.answer.body != nil {
		schema = op.answer.body(d, op)
	}
	switch {
	case code != 0:
	case op.layout == V2:
		code = http.StatusNoContent
	default:
		code = http.StatusOK
	}
	described = object{"description": "Done."}
	if schema != nil {
		described = withBody("Done.", schema)
	}
	return strconv.Itoa(code), described
}

// mayForbid reports whether an operation may be refused to a sender whose token is valid. A
// named token is refused wherever it isn't enough. The other refusals, such as of cookies
// from another origin, are those of the same operations.
func (d *description) mayForbid(op *operation) bool {
	return !op.named && !op.anonymous || op.resource.hasAccount() || d.api.class(op.permission) == IsAdminUser
}

// mayNotFind reports whether there may be nothing for the sender at the path.
func (d *description) mayNotFind(op *operation) bool {
	hidden := op.hidden && d.api.HideUsers && d.api.class(op.permission) == IsAdminUser
	return hidden || strings.HasSuffix(op.resource.path, "{id}")
}

func withBody(description string, schema object) object {
	return object{"description": description, "content": object{drf.MediaJSON: object{"schema": schema}}}
}

func sharedResponse(name string) object { return object{"$ref": "#/components/responses/" + name} }

// sharedResponses are answers that don't depend on the operation.
func (d *description) sharedResponses() object {
	detail, refused := record(object{"detail": text}), record(object{"detail": text})
	if d.api.Auth.JWT != nil {
		message := record(object{"token_class": text, "token_type": text, "message": text})
		refused = record(object{"detail": text, "code": text, "messages": list(message)}, "code", "messages")
	}
	retry := object{"Retry-After": object{"description": "In seconds.", "schema": object{"type": "integer"}}}
	all := object{
		"Unauthorized":    withBody("The credentials are missing or wrong.", refused),
		"Forbidden":       withBody("The sender may not do this.", detail),
		"NotFound":        withBody("There is none, or the sender may not see it.", detail),
		"TooManyRequests": withBody("Too many requests.", detail),
		"Refused":         withBody("Another error of the request.", detail),
		"BadGateway":      withBody("The provider's answer is not valid.", detail),
		"Unavailable":     object{"description": "The accounts are unavailable for a while. The body is the web server's."},
	}
	all["Unauthorized"].(object)["headers"] = object{"WWW-Authenticate": object{"schema": text}}
	all["TooManyRequests"].(object)["headers"], all["Unavailable"].(object)["headers"] = retry, retry
	return all
}

// takesMembers reports whether an operation reads a body. GET has the action of PUT.
func (op *operation) takesMembers() bool { return op.serve != nil && op.Inputs != nil }
