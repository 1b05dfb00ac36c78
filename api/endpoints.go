package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/serializers"
)

// endpoint is an action at its paths: a row of the table that stands behind all layouts.
type endpoint struct {
	serializers.Action
	methods []string

	// paths are those in each layout, under the prefix; empty: it isn't there.
	// {username} is the name of the username field.
	paths byLayout

	// names are those in the answers to OPTIONS.
	names byLayout

	// permission is djoser's name of it in the setting permissions, or anybody. Empty: a
	// valid token is needed, whatever the settings.
	permission string

	own    bool   // acts for the account of the token
	logsIn bool   // may return a token
	hidden bool   // is 404, not 403, for who may not, with hide_users
	listed string // name in the root's list; empty: not in djoser's list
	jwt    bool   // is there with the block jwt, and doesn't look at the Authorization header
	named  bool   // a named token will do; elsewhere it gets 403
	null   bool   // a body of null is an empty object, as with Django's generic views

	read func(*call) (*response, error) // GET and HEAD

	// serve serves other methods. The object has the members of the body, if the
	// action takes any.
	serve func(*call, *account.Request, *drf.Object) (*response, error)
}

// byLayout has a text for Classic, and one for V2.
type byLayout [2]string

// response is a successful response. A nil body means none.
type response struct {
	status  int
	body    any
	private bool // has a token or personal data, so no cache may store it

	public    bool   // is the same for everybody, and changes seldom
	token     string // a new auth token, in the body too
	loggedOut bool   // the request's token has ended
}

var (
	get    = []string{http.MethodGet, http.MethodHead}
	post   = []string{http.MethodPost}
	change = []string{http.MethodPut, http.MethodPatch}
	remove = []string{http.MethodDelete}
)

// endpoints are all of them. The root lists them in this order.
var endpoints = []*endpoint{
	{Action: serializers.Me, methods: get, paths: byLayout{"me", "users/me"}, names: byLayout{"User", "Me"}, permission: "user", own: true, listed: "me", named: true, read: showMe},
	{Action: serializers.Me, methods: change, paths: byLayout{"me", "users/me"}, names: byLayout{"User", "Me"}, permission: "user", own: true, null: true, serve: changeMe},
	{Action: serializers.Delete, methods: remove, paths: byLayout{"", "users/me"}, names: byLayout{"", "Me"}, permission: "user_delete", own: true, serve: deleteMe},
	{Action: serializers.Users, methods: get, paths: byLayout{"", "users"}, names: byLayout{"", "User List"}, permission: "user_list", hidden: true, named: true, read: listUsers},
	{Action: serializers.Register, methods: post, paths: byLayout{"register", "users"}, names: byLayout{"Registration", "User List"}, permission: "user_create", logsIn: true, listed: "register", null: true, serve: serveRegister},
	{Action: serializers.Login, methods: post, paths: byLayout{"login", "token/login"}, names: byLayout{"Login", "Token Create"}, permission: "token_create", logsIn: true, listed: "login", serve: serveLogin},
	{Action: serializers.Logout, methods: post, paths: byLayout{"logout", "token/logout"}, names: byLayout{"Logout", "Token Destroy"}, permission: "token_destroy", own: true, listed: "logout", serve: serveLogout},
	{Action: serializers.Activate, methods: post, paths: byLayout{"activate", "users/activation"}, names: byLayout{"Activation", "Activation"}, permission: "activation", logsIn: true, listed: "activate", serve: serveActivate},
	{Action: serializers.Username, methods: post, paths: byLayout{"{username}", "users/set_{username}"}, names: byLayout{"Set Username", "Set username"}, permission: "set_username", own: true, listed: "change-{username}", serve: serveUsername},
	{Action: serializers.Password, methods: post, paths: byLayout{"password", "users/set_password"}, names: byLayout{"Set Password", "Set password"}, permission: "set_password", own: true, listed: "change-password", serve: servePassword},
	{Action: serializers.PasswordReset, methods: post, paths: byLayout{"password/reset", "users/reset_password"}, names: byLayout{"Password Reset", "Reset password"}, permission: "password_reset", listed: "password-reset", serve: serveReset},
	{Action: serializers.ResetConfirm, methods: post, paths: byLayout{"password/reset/confirm", "users/reset_password_confirm"}, names: byLayout{"Password Reset Confirm", "Reset password confirm"}, permission: "password_reset_confirm", listed: "password-reset-confirm", serve: serveConfirm},
	{Action: serializers.UsernameReset, methods: post, paths: byLayout{"", "users/reset_{username}"}, names: byLayout{"", "Reset username"}, permission: "username_reset", serve: serveUsernameReset},
	{Action: serializers.UsernameResetConfirm, methods: post, paths: byLayout{"", "users/reset_{username}_confirm"}, names: byLayout{"", "Reset username confirm"}, permission: "username_reset_confirm", serve: serveUsernameConfirm},
	{Action: serializers.ActivateResend, methods: post, paths: byLayout{"activate/resend", "users/resend_activation"}, names: byLayout{"Resend Activation", "Resend activation"}, permission: "password_reset", serve: serveResend},
	{Action: serializers.JWTCreate, methods: post, paths: byLayout{"", "jwt/create"}, names: byLayout{"", "Token Obtain Pair"}, permission: anybody, jwt: true, serve: serveJWTCreate},
	{Action: serializers.JWTRefresh, methods: post, paths: byLayout{"", "jwt/refresh"}, names: byLayout{"", "Token Refresh"}, permission: anybody, jwt: true, serve: serveJWTRefresh},
	{Action: serializers.JWTVerify, methods: post, paths: byLayout{"", "jwt/verify"}, names: byLayout{"", "Token Verify"}, permission: anybody, jwt: true, serve: serveJWTVerify},
	{Action: serializers.JWKS, methods: get, paths: byLayout{".well-known/jwks.json", ".well-known/jwks.json"}, names: byLayout{"Key Set", "Key Set"}, permission: anybody, jwt: true, read: serveKeySet},
	{Action: serializers.User, methods: get, paths: byLayout{"", "users/{id}"}, names: byLayout{"", "User Instance"}, permission: "user", hidden: true, named: true, read: showUser},
	{Action: serializers.User, methods: change, paths: byLayout{"", "users/{id}"}, names: byLayout{"", "User Instance"}, permission: "user", hidden: true, serve: changeUser},
	{Action: serializers.DeleteOther, methods: remove, paths: byLayout{"", "users/{id}"}, names: byLayout{"", "User Instance"}, permission: "user_delete", serve: deleteUser},
	{Action: serializers.LogoutAll, methods: post, paths: byLayout{"logout/all", "logout/all"}, names: byLayout{"Logout All", "Logout All"}, own: true, serve: serveLogoutAll},
	{Action: serializers.Tokens, methods: get, paths: byLayout{"tokens", "tokens"}, names: byLayout{"Tokens", "Tokens"}, own: true, read: serveTokens},
	{Action: serializers.LoginProvider, methods: get, paths: byLayout{"o/{id}", "o/{id}"}, names: byLayout{"Provider Auth", "Provider Auth"}, permission: "token_create", read: beginProvider},
	{Action: serializers.LoginProvider, methods: post, paths: byLayout{"o/{id}", "o/{id}"}, names: byLayout{"Provider Auth", "Provider Auth"}, permission: "token_create", logsIn: true, serve: serveProvider},
	{Action: serializers.Identities, methods: get, paths: byLayout{"identities", "identities"}, names: byLayout{"Identities", "Identities"}, own: true, read: serveIdentities},
	{Action: serializers.Identities, methods: remove, paths: byLayout{"identities/{id}", "identities/{id}"}, names: byLayout{"Identity", "Identity"}, own: true, serve: serveIdentity},
	{Action: serializers.NamedToken, methods: post, paths: byLayout{"tokens", "tokens"}, names: byLayout{"Tokens", "Tokens"}, own: true, serve: serveNamedToken},
	{Action: serializers.Tokens, methods: remove, paths: byLayout{"tokens/{id}", "tokens/{id}"}, names: byLayout{"Token", "Token"}, own: true, serve: serveToken},
}

// EndpointNames returns the names of endpoints, for disable and throttle.
func EndpointNames() []string {
	var names []string
	for _, e := range endpoints {
		if !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	return names
}

// FirstSegments returns the first segments of the classic endpoints' paths. The username
// field can't have such a name, since it is the path of an endpoint too.
func FirstSegments() []string {
	var segments []string
	for _, e := range endpoints {
		if path := e.paths[Classic]; path != "" {
			segment, _, _ := strings.Cut(path, "/")
			segments = append(segments, segment)
		}
	}
	return segments
}
