package django

import (
	"slices"
	"strings"
)

// The dictionaries of Django's settings.
const (
	Djoser    = "DJOSER"
	SimpleJWT = "SIMPLE_JWT"
)

// Setting is a setting of a Django project with djoser 2.
type Setting struct {
	Dictionary string // Djoser, SimpleJWT, or empty for Django's own settings
	Name       string
	Line       string // the counterpart in the djoser block; empty if there is none
	Note       string // what is different, or why there is no counterpart

	// take adds the line. It is nil if there is none, or if it takes several settings.
	take func(c *converter, value any) error
	// usual are values that mean the same as no setting. any is every value.
	usual []string
}

// every is a usual value: the setting has no effect alone.
const every = "*"

// isDefault reports whether a value means the same as no setting.
func (s *Setting) isDefault(value any) bool {
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
	}
	text, _ := value.(string)
	return slices.Contains(s.usual, every) || slices.Contains(s.usual, text)
}

// Settings are all settings of djoser 2.3 and simplejwt 5, and those of Django's that
// djoser uses. The documentation has them in this order.
var Settings = slices.Concat(djoserSettings, simpleJWTSettings, djangoSettings)

func same(dictionary, name, note string) Setting {
	return Setting{Dictionary: dictionary, Name: name, Line: strings.ToLower(name), Note: note, take: toggle(name)}
}

var djoserSettings = []Setting{
	{Djoser, "PASSWORD_RESET_CONFIRM_URL", "password_reset_confirm_url", "", link("password_reset_confirm_url"), nil},
	{Djoser, "USERNAME_RESET_CONFIRM_URL", "username_reset_confirm_url", "Without it, `disable username_reset`.", link("username_reset_confirm_url"), nil},
	{Djoser, "ACTIVATION_URL", "activation_url", "", link("activation_url"), nil},
	same(Djoser, "SEND_ACTIVATION_EMAIL", "A new address counts once it is confirmed; the account stays active."),
	same(Djoser, "SEND_CONFIRMATION_EMAIL", ""),
	same(Djoser, "USER_CREATE_PASSWORD_RETYPE", ""),
	same(Djoser, "SET_PASSWORD_RETYPE", ""),
	same(Djoser, "PASSWORD_RESET_CONFIRM_RETYPE", ""),
	same(Djoser, "SET_USERNAME_RETYPE", ""),
	same(Djoser, "USERNAME_RESET_CONFIRM_RETYPE", ""),
	same(Djoser, "PASSWORD_RESET_SHOW_EMAIL_NOT_FOUND", ""),
	same(Djoser, "USERNAME_RESET_SHOW_EMAIL_NOT_FOUND", ""),
	same(Djoser, "PASSWORD_CHANGED_EMAIL_CONFIRMATION", ""),
	same(Djoser, "USERNAME_CHANGED_EMAIL_CONFIRMATION", ""),
	same(Djoser, "LOGOUT_ON_PASSWORD_CHANGE", ""),
	{Djoser, "LOGIN_FIELD", "login_field", "If it is the user model's `USERNAME_FIELD`, `user_model { username_field … }` instead. A field that several accounts could share must be `unique`.", takeLoginField, nil},
	{Djoser, "USER_ID_FIELD", "", "Accounts are shown and addressed by their number, `id`.", nil, []string{"id", "pk"}},
	{Djoser, "HIDE_USERS", "hide_users", "On by default, as in djoser.", takeHideUsers, nil},
	{Djoser, "PERMISSIONS", "permissions { … }", "Of several classes, the strictest. A class of the project's has no counterpart: [serve the endpoint yourself](overriding.md#an-endpoint).", takePermissions, nil},
	{Djoser, "SERIALIZERS", "", "The members of users are `required_fields` in [`user_model`](settings.md#user_model). Other logic: [serve the endpoint yourself](overriding.md#an-endpoint).",
		ownClasses("SERIALIZERS", "djoser.serializers.", "a class of the project's. If it adds members, list them in required_fields of user_model; otherwise serve the endpoint yourself, before djoser in a route."), nil},
	{Djoser, "EMAIL", "templates", "A folder with [texts of your own](templates.md), instead of classes.",
		ownClasses("EMAIL", "djoser.email.", "a class of the project's. Put the texts of its template into a folder, and name that with templates."), nil},
	{Djoser, "EMAIL_FRONTEND_DOMAIN", "domain", "", takeDomain, nil},
	{Djoser, "EMAIL_FRONTEND_PROTOCOL", "protocol", "", takeProtocol, nil},
	{Djoser, "EMAIL_FRONTEND_SITE_NAME", "site_name", "", text("site_name"), nil},
	{Djoser, "CONSTANTS", "", "The texts of answers are djoser's, in English.", ownClasses("CONSTANTS", "djoser.constants.", "the texts of answers are djoser's, in English."), nil},
	{Djoser, "TOKEN_MODEL", "", "The tokens are of this module; those of `rest_framework.authtoken` are imported, [others](django.md#what-isnt) are not. With `None`, leave the token endpoints unused.", nil, []string{"rest_framework.authtoken.models.Token"}},
	{Djoser, "CREATE_SESSION_ON_LOGIN", "token { cookie }", "A cookie for the endpoints and the gate. Django has no session then: behind the gate, [it reads `Remote-User`](#the-back-end).", takeSession, nil},
	{Djoser, "SOCIAL_AUTH_TOKEN_STRATEGY", "", "None is needed: the state is signed. Log-ins at `/o/…` give JWTs with `jwt`, otherwise a token.", nil, []string{"djoser.social.token.jwt.TokenStrategy"}},
	{Djoser, "SOCIAL_AUTH_ALLOWED_REDIRECT_URIS", "provider { redirect_uris … }", "In a [`provider`](providers.md) for each site that people log in with. Its `client_id` and `client_secret` are `SOCIAL_AUTH_…_KEY` and `…_SECRET`.", takeProviders, nil},
	{Djoser, "WEBAUTHN", "", "There are no endpoints `/webauthn/…`.", nil, nil},
}

var simpleJWTSettings = []Setting{
	{SimpleJWT, "ACCESS_TOKEN_LIFETIME", "jwt { access … }", "At most 30 days, and no longer than `refresh`.", nil, nil},
	{SimpleJWT, "REFRESH_TOKEN_LIFETIME", "jwt { refresh … }", "A log-in lasts as long.", nil, nil},
	{SimpleJWT, "ROTATE_REFRESH_TOKENS", "jwt { rotate }", "", takeRotation, nil},
	{SimpleJWT, "BLACKLIST_AFTER_ROTATION", "", "With `rotate`, the token before always ends, after 10 seconds: its use ends the log-in.", nil, []string{every}},
	{SimpleJWT, "UPDATE_LAST_LOGIN", "", "`last_login` is always kept.", nil, []string{every}},
	{SimpleJWT, "ALGORITHM", "jwt { algorithm … }", "`HS256`, or `ES256` with [keys that Caddy makes](v2.md#jwt).", nil, nil},
	{SimpleJWT, "SIGNING_KEY", "jwt { key {env.JWT_KEY} }", "For `HS256`, at least 32 bytes. Django's default is `SECRET_KEY`.", nil, nil},
	{SimpleJWT, "VERIFYING_KEY", "", "Only for algorithms with a public key, whose keys Caddy makes itself.", nil, nil},
	{SimpleJWT, "AUDIENCE", "", "Tokens have no `aud`: remove it from the settings of servers that check tokens.", nil, nil},
	{SimpleJWT, "ISSUER", "jwt { issuer … }", "", takeIssuer, nil},
	{SimpleJWT, "JSON_ENCODER", "", "The claims are numbers and texts.", nil, nil},
	{SimpleJWT, "JWK_URL", "", "Tokens of other servers aren't accepted.", nil, nil},
	{SimpleJWT, "LEEWAY", "", "Tokens are made and checked by one clock.", nil, nil},
	{SimpleJWT, "AUTH_HEADER_TYPES", "jwt { header_types … }", "", takeHeaderTypes, nil},
	{SimpleJWT, "AUTH_HEADER_NAME", "", "The header is `Authorization`.", nil, []string{"HTTP_AUTHORIZATION"}},
	{SimpleJWT, "USER_ID_FIELD", "", "The id of the account.", nil, []string{"id", "pk"}},
	{SimpleJWT, "USER_ID_CLAIM", "", "The claim is `user_id`.", nil, []string{"user_id"}},
	{SimpleJWT, "USER_AUTHENTICATION_RULE", "", "Accounts must be active.", nil, []string{"rest_framework_simplejwt.authentication.default_user_authentication_rule"}},
	{SimpleJWT, "ON_LOGIN_SUCCESS", "", "Python's functions have no counterpart; log-ins are in [the audit log and in Caddy's events](operations.md).", nil, []string{"rest_framework_simplejwt.serializers.default_on_login_success"}},
	{SimpleJWT, "ON_LOGIN_FAILED", "", "As `ON_LOGIN_SUCCESS`.", nil, []string{"rest_framework_simplejwt.serializers.default_on_login_failed"}},
	{SimpleJWT, "AUTH_TOKEN_CLASSES", "", "Access tokens; there are no sliding ones.", nil, []string{"rest_framework_simplejwt.tokens.AccessToken"}},
	{SimpleJWT, "TOKEN_TYPE_CLAIM", "", "The claim is `token_type`.", nil, []string{"token_type"}},
	{SimpleJWT, "JTI_CLAIM", "", "The claim is `jti`.", nil, []string{"jti"}},
	{SimpleJWT, "TOKEN_USER_CLASS", "", "Only for back ends in Python, which keep it.", nil, []string{every}},
	{SimpleJWT, "SLIDING_TOKEN_LIFETIME", "", "There are no sliding tokens.", nil, []string{every}},
	{SimpleJWT, "SLIDING_TOKEN_REFRESH_LIFETIME", "", "There are no sliding tokens.", nil, []string{every}},
	{SimpleJWT, "SLIDING_TOKEN_REFRESH_EXP_CLAIM", "", "There are no sliding tokens.", nil, []string{every}},
	{SimpleJWT, "CHECK_REVOKE_TOKEN", "logout_on_password_change", "A password reset always ends the account's log-ins.", toggle("LOGOUT_ON_PASSWORD_CHANGE"), nil},
	{SimpleJWT, "REVOKE_TOKEN_CLAIM", "", "Tokens have no claim of the password.", nil, []string{every}},
	{SimpleJWT, "CHECK_USER_IS_ACTIVE", "", "Accounts must be active.", nil, []string{every}},
	serializer("TOKEN_OBTAIN_SERIALIZER", "TokenObtainPairSerializer"),
	serializer("TOKEN_REFRESH_SERIALIZER", "TokenRefreshSerializer"),
	serializer("TOKEN_VERIFY_SERIALIZER", "TokenVerifySerializer"),
	serializer("TOKEN_BLACKLIST_SERIALIZER", "TokenBlacklistSerializer"),
	serializer("SLIDING_TOKEN_OBTAIN_SERIALIZER", "TokenObtainSlidingSerializer"),
	serializer("SLIDING_TOKEN_REFRESH_SERIALIZER", "TokenRefreshSlidingSerializer"),
}

func serializer(name, class string) Setting {
	return Setting{SimpleJWT, name, "", "The claims and members are simplejwt's.", nil, []string{"rest_framework_simplejwt.serializers." + class}}
}

var djangoSettings = []Setting{
	{"", "DOMAIN", "domain", "", takeDomain, nil},
	{"", "PROTOCOL", "protocol", "", takeProtocol, nil},
	{"", "SITE_NAME", "site_name", "", text("site_name"), nil},
	{"", "DEFAULT_FROM_EMAIL", "from_email", "", text("from_email"), nil},
	{"", "PASSWORD_RESET_TIMEOUT", "link_ttl", "", takeLinkTTL, nil},
	{"", "EMAIL_HOST", "mailer smtp <host>:<port>", "", nil, nil},
	{"", "EMAIL_PORT", "mailer smtp <host>:<port>", "", nil, nil},
	{"", "EMAIL_USE_TLS", "mailer { tls starttls }", "", nil, nil},
	{"", "EMAIL_USE_SSL", "mailer { tls tls }", "", nil, nil},
	{"", "EMAIL_HOST_USER", "mailer { username … }", "", nil, nil},
	{"", "EMAIL_HOST_PASSWORD", "mailer { password {env.SMTP_PASSWORD} }", "", nil, nil},
	{"", "CORS_ALLOWED_ORIGINS", "cors", "", takeOrigins, nil},
}
