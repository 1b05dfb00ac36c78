package api

import (
	"fmt"
	"strings"
)

// Example is the table of endpoints: what each method does at its path in each layout,
// and the permission that it needs. users/{id} has no classic path.
func Example() {
	for _, e := range endpoints {
		permission := e.permission
		if permission == "" {
			permission = "a token"
		}
		classic := e.paths[Classic]
		if classic == "" {
			classic = "-"
		}
		fmt.Printf("%-22s %-10s %-22s %-30s %s\n", e.Name, strings.Join(e.methods, " "), classic, e.paths[V2], permission)
	}
	// Output:
	// me                     GET HEAD   me                     users/me                       user
	// me                     PUT PATCH  me                     users/me                       user
	// me                     DELETE     -                      users/me                       user_delete
	// users                  GET HEAD   -                      users                          user_list
	// register               POST       register               users                          user_create
	// login                  POST       login                  token/login                    token_create
	// logout                 POST       logout                 token/logout                   token_destroy
	// activate               POST       activate               users/activation               activation
	// username               POST       {username}             users/set_{username}           set_username
	// password               POST       password               users/set_password             set_password
	// password_reset         POST       password/reset         users/reset_password           password_reset
	// password_reset_confirm POST       password/reset/confirm users/reset_password_confirm   password_reset_confirm
	// username_reset         POST       -                      users/reset_{username}         username_reset
	// username_reset_confirm POST       -                      users/reset_{username}_confirm username_reset_confirm
	// activate_resend        POST       activate/resend        users/resend_activation        password_reset
	// jwt_create             POST       -                      jwt/create                     anybody
	// jwt_refresh            POST       -                      jwt/refresh                    anybody
	// jwt_verify             POST       -                      jwt/verify                     anybody
	// jwks                   GET HEAD   .well-known/jwks.json  .well-known/jwks.json          anybody
	// mfa                    POST       mfa/verify             mfa/verify                     anybody
	// mfa                    GET HEAD   mfa/status             mfa/status                     a token
	// mfa                    GET HEAD   mfa/totp/activate      mfa/totp/activate              a token
	// mfa                    POST       mfa/totp/activate      mfa/totp/activate              a token
	// mfa                    POST       mfa/totp/deactivate    mfa/totp/deactivate            a token
	// mfa                    POST       mfa/recovery-codes/regenerate mfa/recovery-codes/regenerate  a token
	// reauthenticate         POST       reauthenticate         reauthenticate                 a token
	// passkeys               GET HEAD   passkeys               passkeys                       a token
	// passkeys               POST       passkeys/register/begin passkeys/register/begin        a token
	// passkeys               POST       passkeys/register/complete passkeys/register/complete     a token
	// passkeys               POST       passkeys/login/begin   passkeys/login/begin           anybody
	// passkeys               POST       passkeys/login/complete passkeys/login/complete        anybody
	// passkeys               PATCH      passkeys/{id}          passkeys/{id}                  a token
	// passkeys               DELETE     passkeys/{id}          passkeys/{id}                  a token
	// users                  GET HEAD   -                      users/{id}                     user
	// users                  PUT PATCH  -                      users/{id}                     user
	// users                  DELETE     -                      users/{id}                     user_delete
	// logout_all             POST       logout/all             logout/all                     a token
	// tokens                 GET HEAD   tokens                 tokens                         a token
	// provider               GET HEAD   o/{id}                 o/{id}                         token_create
	// provider               POST       o/{id}                 o/{id}                         token_create
	// identities             GET HEAD   identities             identities                     a token
	// identities             DELETE     identities/{id}        identities/{id}                a token
	// named_token            POST       tokens                 tokens                         a token
	// tokens                 DELETE     tokens/{id}            tokens/{id}                    a token
	// openapi                GET HEAD   openapi.json           openapi.json                   anybody
	// health                 GET HEAD   health                 health                         anybody
}
