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

	own       bool   // acts for the account of the token
	logsIn    bool   // may return a token
	hidden    bool   // is 404, not 403, for who may not, with hide_users
	listed    string // name in the root's list; empty: not in djoser's list
	jwt       bool   // is there with the block jwt
	named     bool   // a named token will do; elsewhere it gets 403
	anonymous bool   // doesn't look at credentials, apart from those in the body
	null      bool   // a body of null is an empty object, as with Django's generic views

	// For openapi.json: the name of the operation, which becomes that of a function in
	// clients, what it does, and the answer to a successful request.
	id, title, text string
	answer          answer
	paged           bool // takes offset and limit in the query

	read func(*call) (*response, error) // GET and HEAD

	// serve serves other methods. The object has the members of the body, if the
	// action takes any.
	serve func(*call, *account.Request, *drf.Object) (*response, error)
}

// byLayout has a text for Classic, and one for V2.
type byLayout [2]string

// both returns a text for both layouts.
func both(text string) byLayout { return byLayout{text, text} }

// response is a successful response. A nil body means none.
type response struct {
	status  int
	body    any
	private bool   // has a token or personal data, so no cache may store it
	etag    string // caches may store it, and ask whether it is still the same

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
	{
		Action: serializers.Me, methods: get, read: showMe,
		paths: byLayout{"me", "users/me"}, names: byLayout{"User", "Me"}, permission: "user", own: true, listed: "me", named: true,
		id: "getMe", title: "Show your account", answer: user,
	},
	{
		Action: serializers.Me, methods: change, serve: changeMe,
		paths: byLayout{"me", "users/me"}, names: byLayout{"User", "Me"}, permission: "user", own: true, null: true,
		id: "updateMe", title: "Change your account", text: "A new address may have to be confirmed before it counts.", answer: user,
	},
	{
		Action: serializers.Delete, methods: remove, serve: deleteMe,
		paths: byLayout{"", "users/me"}, names: byLayout{"", "Me"}, permission: "user_delete", own: true,
		id: "deleteMe", title: "Delete your account", answer: noBody,
	},
	{
		Action: serializers.Users, methods: get, read: listUsers,
		paths: byLayout{"", "users"}, names: byLayout{"", "User List"}, permission: "user_list", hidden: true, named: true, paged: true,
		id: "listUsers", title: "List accounts", text: "Who may not see other accounts gets a list of one.", answer: users,
	},
	{
		Action: serializers.Register, methods: post, serve: serveRegister,
		paths: byLayout{"register", "users"}, names: byLayout{"Registration", "User List"}, permission: "user_create", logsIn: true, listed: "register", null: true,
		id: "register", title: "Create an account", text: "The account may have to be activated before anybody can log in.", answer: newUser,
	},
	{
		Action: serializers.Login, methods: post, serve: serveLogin,
		paths: byLayout{"login", "token/login"}, names: byLayout{"Login", "Token Create"}, permission: "token_create", logsIn: true, listed: "login",
		id: "login", title: "Log in", text: "Every log-in has an auth token of its own.", answer: authToken,
	},
	{
		Action: serializers.Logout, methods: post, serve: serveLogout,
		paths: byLayout{"logout", "token/logout"}, names: byLayout{"Logout", "Token Destroy"}, permission: "token_destroy", own: true, listed: "logout",
		id: "logout", title: "Log out", text: "Ends the auth token of the request, and no other.", answer: noBody,
	},
	{
		Action: serializers.Activate, methods: post, serve: serveActivate,
		paths: byLayout{"activate", "users/activation"}, names: byLayout{"Activation", "Activation"}, permission: "activation", logsIn: true, listed: "activate",
		id: "activate", title: "Use the link of an activation mail", text: "Activates an account, or confirms a new address. The link has uid and token.", answer: activated,
	},
	{
		Action: serializers.Username, methods: post, serve: serveUsername,
		paths: byLayout{"{username}", "users/set_{username}"}, names: byLayout{"Set Username", "Set username"}, permission: "set_username", own: true, listed: "change-{username}",
		id: "setUsername", title: "Change the username", answer: noBody,
	},
	{
		Action: serializers.Password, methods: post, serve: servePassword,
		paths: byLayout{"password", "users/set_password"}, names: byLayout{"Set Password", "Set password"}, permission: "set_password", own: true, listed: "change-password",
		id: "setPassword", title: "Change the password", answer: noBody,
	},
	{
		Action: serializers.PasswordReset, methods: post, serve: serveReset,
		paths: byLayout{"password/reset", "users/reset_password"}, names: byLayout{"Password Reset", "Reset password"}, permission: "password_reset", listed: "password-reset",
		id: "requestPasswordReset", title: "Send a mail to reset the password", text: "The address need not have an account.", answer: noBody,
	},
	{
		Action: serializers.ResetConfirm, methods: post, serve: serveConfirm,
		paths: byLayout{"password/reset/confirm", "users/reset_password_confirm"}, names: byLayout{"Password Reset Confirm", "Reset password confirm"}, permission: "password_reset_confirm", listed: "password-reset-confirm",
		id: "confirmPasswordReset", title: "Set a new password by the link of a mail", text: "Ends all auth tokens of the account. The link has uid and token.", answer: noBody,
	},
	{
		Action: serializers.UsernameReset, methods: post, serve: serveUsernameReset,
		paths: byLayout{"", "users/reset_{username}"}, names: byLayout{"", "Reset username"}, permission: "username_reset",
		id: "requestUsernameReset", title: "Send a mail to choose another username", text: "The address need not have an account.", answer: noBody,
	},
	{
		Action: serializers.UsernameResetConfirm, methods: post, serve: serveUsernameConfirm,
		paths: byLayout{"", "users/reset_{username}_confirm"}, names: byLayout{"", "Reset username confirm"}, permission: "username_reset_confirm",
		id: "confirmUsernameReset", title: "Set a new username by the link of a mail", text: "The link has uid and token.", answer: noBody,
	},
	{
		Action: serializers.ActivateResend, methods: post, serve: serveResend,
		paths: byLayout{"activate/resend", "users/resend_activation"}, names: byLayout{"Resend Activation", "Resend activation"}, permission: "password_reset",
		id: "resendActivation", title: "Send another activation mail", text: "The address need not have an account.", answer: noBody,
	},
	{
		Action: serializers.JWTCreate, methods: post, serve: serveJWTCreate,
		paths: byLayout{"", "jwt/create"}, names: byLayout{"", "Token Obtain Pair"}, permission: anybody, jwt: true, anonymous: true,
		id: "createJWT", title: "Log in with JSON Web Tokens", text: "Every log-in has a refresh token of its own, with which to get access tokens.", answer: newPair,
	},
	{
		Action: serializers.JWTRefresh, methods: post, serve: serveJWTRefresh,
		paths: byLayout{"", "jwt/refresh"}, names: byLayout{"", "Token Refresh"}, permission: anybody, jwt: true, anonymous: true,
		id: "refreshJWT", title: "Get another access token", answer: refreshed,
	},
	{
		Action: serializers.JWTVerify, methods: post, serve: serveJWTVerify,
		paths: byLayout{"", "jwt/verify"}, names: byLayout{"", "Token Verify"}, permission: anybody, jwt: true, anonymous: true,
		id: "verifyJWT", title: "Check an access or a refresh token", answer: anything,
	},
	{
		Action: serializers.JWKS, methods: get, read: serveKeySet,
		paths: byLayout{".well-known/jwks.json", ".well-known/jwks.json"}, names: byLayout{"Key Set", "Key Set"}, permission: anybody, anonymous: true,
		id: "getKeySet", title: "Show the keys that check access tokens and assertions", answer: keySet,
	},
	{
		Action: serializers.MFAVerify, methods: post, serve: serveMFAVerify,
		paths: both("mfa/verify"), names: both("MFA Verify"), permission: anybody, logsIn: true,
		id: "verifyMFA", title: "Finish a log-in with a second factor", text: "The code is one of the authenticator app, or a recovery code.", answer: verified,
	},
	{
		Action: serializers.MFAStatus, methods: get, read: showFactor,
		paths: both("mfa/status"), names: both("MFA Status"), own: true,
		id: "getMFAStatus", title: "Show whether the account has a second factor", answer: factorStatus,
	},
	{
		Action: serializers.TOTPActivate, methods: get, read: beginFactor,
		paths: both("mfa/totp/activate"), names: both("TOTP Activate"), own: true,
		id: "beginTOTP", title: "Get a secret for an authenticator app", text: "It waits for ten minutes, for the same log-in.", answer: enrolment,
	},
	{
		Action: serializers.TOTPActivate, methods: post, serve: confirmFactor,
		paths: both("mfa/totp/activate"), names: both("TOTP Activate"), own: true,
		id: "activateTOTP", title: "Set up the second factor with a code of the app", text: "The answer shows the recovery codes, and nothing else does.", answer: firstCodes,
	},
	{
		Action: serializers.TOTPDeactivate, methods: post, serve: removeFactor,
		paths: both("mfa/totp/deactivate"), names: both("TOTP Deactivate"), own: true,
		id: "deactivateTOTP", title: "Remove the second factor", answer: said,
	},
	{
		Action: serializers.RecoveryCodes, methods: post, serve: serveRecoveryCodes,
		paths: both("mfa/recovery-codes/regenerate"), names: both("Recovery Codes Regenerate"), own: true,
		id: "makeRecoveryCodes", title: "Replace the recovery codes", answer: newRecoveryCodes,
	},
	{
		Action: serializers.Reauthenticate, methods: post, serve: serveReauthenticate,
		paths: both("reauthenticate"), names: both("Reauthenticate"), own: true,
		id: "reauthenticate", title: "Prove again who you are", text: "By the password or a code.", answer: noBody,
	},
	{
		Action: serializers.Passkeys, methods: get, read: servePasskeys,
		paths: both("passkeys"), names: both("Passkeys"), own: true,
		id: "listPasskeys", title: "List the passkeys of the account", answer: passkeyList,
	},
	{
		Action: serializers.PasskeyBegin, methods: post, serve: beginPasskey,
		paths: both("passkeys/register/begin"), names: both("Passkey Register Begin"), own: true,
		id: "beginPasskey", title: "Get the options of a new passkey", text: "They are good for five minutes, for the same log-in.", answer: passkeyOptions,
	},
	{
		Action: serializers.PasskeyAdd, methods: post, serve: addPasskey,
		paths: both("passkeys/register/complete"), names: both("Passkey Register Complete"), own: true,
		id: "addPasskey", title: "Add the passkey that the browser has made", text: "The first second factor comes with recovery codes, which nothing else shows.", answer: newPasskey,
	},
	{
		Action: serializers.PasskeyLoginBegin, methods: post, serve: beginPasskeyLogin,
		paths: both("passkeys/login/begin"), names: both("Passkey Login Begin"), permission: anybody,
		id: "beginPasskeyLogin", title: "Get the options of a log-in with a passkey", text: "With an ephemeral token or a token, they are for the passkeys of its account.", answer: passkeyOptions,
	},
	{
		Action: serializers.PasskeyLogin, methods: post, serve: servePasskeyLogin,
		paths: both("passkeys/login/complete"), names: both("Passkey Login Complete"), permission: anybody, logsIn: true,
		id: "loginWithPasskey", title: "Log in with a passkey", text: "Alone, or as the second factor of a log-in.", answer: passkeyLogin,
	},
	{
		Action: serializers.PasskeyRename, methods: []string{http.MethodPatch}, serve: renamePasskey,
		paths: both("passkeys/{id}"), names: both("Passkey"), own: true,
		id: "renamePasskey", title: "Give a passkey another name", answer: passkey,
	},
	{
		Action: serializers.PasskeyRemove, methods: remove, serve: removePasskey,
		paths: both("passkeys/{id}"), names: both("Passkey"), own: true,
		id: "removePasskey", title: "Remove a passkey", text: "Needs a recent log-in, or a proof.", answer: noContent,
	},
	{
		Action: serializers.User, methods: get, read: showUser,
		paths: byLayout{"", "users/{id}"}, names: byLayout{"", "User Instance"}, permission: "user", hidden: true, named: true,
		id: "getUser", title: "Show an account", answer: user,
	},
	{
		Action: serializers.User, methods: change, serve: changeUser,
		paths: byLayout{"", "users/{id}"}, names: byLayout{"", "User Instance"}, permission: "user", hidden: true,
		id: "updateUser", title: "Change an account", answer: user,
	},
	{
		Action: serializers.DeleteOther, methods: remove, serve: deleteUser,
		paths: byLayout{"", "users/{id}"}, names: byLayout{"", "User Instance"}, permission: "user_delete",
		id: "deleteUser", title: "Delete an account", text: "The current password is that of the sender.", answer: noBody,
	},
	{
		Action: serializers.LogoutAll, methods: post, serve: serveLogoutAll,
		paths: byLayout{"logout/all", "logout/all"}, names: byLayout{"Logout All", "Logout All"}, own: true,
		id: "logoutAll", title: "Log out everywhere", text: "Ends all auth tokens of the account.", answer: noBody,
	},
	{
		Action: serializers.Tokens, methods: get, read: serveTokens,
		paths: byLayout{"tokens", "tokens"}, names: byLayout{"Tokens", "Tokens"}, own: true,
		id: "listTokens", title: "List the log-ins and named tokens of the account", answer: tokens,
	},
	{
		Action: serializers.LoginProvider, methods: get, read: beginProvider,
		paths: byLayout{"o/{id}", "o/{id}"}, names: byLayout{"Provider Auth", "Provider Auth"}, permission: "token_create",
		id: "beginProviderLogin", title: "Begin a log-in with a provider", text: "The answer has where to send the browser. With a token, the provider is linked to its account.", answer: authorization,
	},
	{
		Action: serializers.LoginProvider, methods: post, serve: serveProvider,
		paths: byLayout{"o/{id}", "o/{id}"}, names: byLayout{"Provider Auth", "Provider Auth"}, permission: "token_create", logsIn: true,
		id: "loginWithProvider", title: "Log in with what a provider sent back", text: "The members may be in the query, too.", answer: providerLogin,
	},
	{
		Action: serializers.Identities, methods: get, read: serveIdentities,
		paths: byLayout{"identities", "identities"}, names: byLayout{"Identities", "Identities"}, own: true,
		id: "listIdentities", title: "List the providers linked to the account", answer: identities,
	},
	{
		Action: serializers.Identities, methods: remove, serve: serveIdentity,
		paths: byLayout{"identities/{id}", "identities/{id}"}, names: byLayout{"Identity", "Identity"}, own: true,
		id: "removeIdentity", title: "Remove a provider from the account", answer: noContent,
	},
	{
		Action: serializers.NamedToken, methods: post, serve: serveNamedToken,
		paths: byLayout{"tokens", "tokens"}, names: byLayout{"Tokens", "Tokens"}, own: true,
		id: "createNamedToken", title: "Make a token for a program", text: "The answer shows the token, and nothing else does.", answer: newToken,
	},
	{
		Action: serializers.Tokens, methods: remove, serve: serveToken,
		paths: byLayout{"tokens/{id}", "tokens/{id}"}, names: byLayout{"Token", "Token"}, own: true,
		id: "endToken", title: "End a log-in or a named token of the account", answer: noContent,
	},
	{
		Action: describe, methods: get, read: showDescription,
		paths: byLayout{descriptionPath, descriptionPath}, names: byLayout{"OpenAPI", "OpenAPI"}, permission: anybody, named: true,
		id: "getOpenAPI", title: "Describe the endpoints", text: "This description, in OpenAPI 3.1.", answer: anything,
	},
	{
		Action: health, methods: get, read: showHealth,
		paths: both("health"), names: both("Health"), permission: anybody, anonymous: true,
		id: "getHealth", title: "Show whether requests can be served", text: "For probes.", answer: healthy,
	},
}

// EndpointNames returns the names of endpoints, for disable.
func EndpointNames() []string {
	return namesOf(func(*endpoint) bool { return true })
}

// CountedNames returns the names of endpoints whose requests are counted, for throttle.
func CountedNames() []string {
	return namesOf(func(e *endpoint) bool { return e.serve != nil })
}

func namesOf(isIn func(*endpoint) bool) (names []string) {
	for _, e := range endpoints {
		if isIn(e) && !slices.Contains(names, e.Name) {
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
