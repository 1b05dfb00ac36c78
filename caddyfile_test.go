package djoser

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/api"
	"github.com/caddy-djoser/djoser/gate"
	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/settings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestDirectivesAdaptToTheirJSON checks 'caddy adapt' for every directive. Each file of
// testdata/caddyfile has a Caddyfile, a line of dashes, and the JSON.
func TestDirectivesAdaptToTheirJSON(t *testing.T) {
	files, err := filepath.Glob("testdata/caddyfile/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	const line = "----------\n"
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source, want, _ := strings.Cut(string(text), line)
			config, err := testsite.Adapt(source)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, config, "", "\t"); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			if *update {
				if err := os.WriteFile(file, []byte(source+line+got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got.String() != want {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}

// inBlock is a site with a djoser directive with these lines, the first of
// which is line 3 of the Caddyfile.
func inBlock(lines string) string { return ":8080 {\ndjoser /auth/* {\n" + lines + "\n}\n}" }

// inGate is a site with a djoser_auth directive, and inMatcher one with a
// djoser_token matcher, with these lines from line 3 on.
func inGate(lines string) string { return ":8080 {\ndjoser_auth /api/* {\n" + lines + "\n}\n}" }
func inMatcher(lines string) string {
	return ":8080 {\n@x djoser_token {\n" + lines + "\n}\nrespond @x 200\n}"
}

// taughtOf is the part of a Caddyfile error that follows Caddy's own words.
func taughtOf(err error) string {
	text := err.Error()
	for {
		rest, ok := strings.CutPrefix(text, "parsing caddyfile tokens for '")
		if !ok {
			return text
		}
		_, text, _ = strings.Cut(rest, "': ")
	}
}

func TestErrorsHaveAPlaceAndASuggestion(t *testing.T) {
	quoted := func(name string) string {
		return name + " needs a value; one that starts with # must be quoted: " + name + ` "#/..."`
	}
	const (
		duration = "it must be a duration of at least a second, such as 30m, 12h or 3d"
		size     = "it must be a size such as 64KiB or 1MB"
		spaces   = "a value with spaces must be quoted"
		noBlock  = "unexpected '{': this line takes no block"
		noMails  = "disable password_reset\n"
		v2       = "endpoints v2\n"
		aPath    = "the prefix can't be taken from this matcher: use one path such as /auth/*, or add prefix to the block"
	)
	endpoints := directive.Suggest("", api.EndpointNames())
	stores := strings.Join(directive.Engines("djoser.stores."), ", ") // some tests add their own
	for _, c := range []struct {
		text, want string
		line       int
	}{
		// The directive.
		{":8080 {\ndjoser /auth/* x\n}", "unexpected argument 'x': put the settings in a block; a path before it starts with '/'", 2},
		{":8080 {\ndjoser auth/*\n}", "unexpected argument 'auth/*': put the settings in a block; a path before it starts with '/'", 2},
		{":8080 {\ndjoser /auth* {\ndisable me\n}\n}", aPath, 2},
		{":8080 {\ndjoser /auth\n}", aPath, 2},
		{":8080 {\ndjoser /a*/b/*\n}", aPath, 2},
		{":8080 {\n@two path /a/* /b/*\ndjoser @two\n}", aPath, 3},
		{inBlock("nonsense"), "unknown word 'nonsense' in djoser" + directive.Suggest("nonsense", strings.Split(settings.Names, ", ")), 3},

		// Nearly right words, in every block.
		{inBlock("sitename X"), "unknown word 'sitename' in djoser: did you mean site_name?", 3},
		{inBlock("site-name X"), "unknown word 'site-name' in djoser: did you mean site_name?", 3},
		{inBlock("siteName X"), "unknown word 'siteName' in djoser: did you mean site_name?", 3},
		{inBlock("send_activation_mail"), "unknown word 'send_activation_mail' in djoser: did you mean send_activation_email?", 3},
		{inBlock("dommain x"), "unknown word 'dommain' in djoser: did you mean domain?", 3},
		{inBlock("endpoint v2"), "unknown word 'endpoint' in djoser: did you mean endpoints?", 3},
		{inBlock("user_model {\nrequired_field email\n}"), "unknown word 'required_field' in user_model: did you mean required_fields?", 4},
		{inBlock("user_model {\nfield a char {\nmaxlength 3\n}\n}"), "unknown word 'maxlength' in field a: did you mean max_length?", 5},
		{inBlock("password {\nvalidator off\n}"), "unknown word 'validator' in password: did you mean validators?", 4},
		{inBlock("password {\nhasher argon2id {\nmemroy 19MiB\n}\n}"), "unknown word 'memroy' in hasher argon2id: did you mean memory?", 5},
		{inBlock("token {\ncookies\n}"), "unknown word 'cookies' in token: did you mean cookie?", 4},
		{inBlock("jwt {\nacess 5m\n}"), "unknown word 'acess' in jwt: did you mean access?", 4},
		{inBlock("provider github {\nclientid x\n}"), "unknown word 'clientid' in provider: did you mean client_id?", 4},
		{inBlock("throttle {\nwrong_password 1/1m\n}"), "unknown word 'wrong_password' in throttle: did you mean wrong_passwords?", 4},
		{inBlock("cors https://a.example {\nheader X\n}"), "unknown word 'header' in cors: did you mean headers?", 4},
		{inBlock("mailer smtp a:25 {\nuser x\n}"), "unknown word 'user' in mailer smtp: use username, password, auth, tls, trusted_ca, helo, local_recipients, timeout or retry", 4},
		{inBlock("mailer smtp a:25 {\ntrusted-ca x\n}"), "unknown word 'trusted-ca' in mailer smtp: did you mean trusted_ca?", 4},
		{inBlock("disable pasword_reset"), "disable: unknown endpoint pasword_reset: did you mean password_reset?", 3},
		{inGate("groups editors"), "unknown word 'groups' in djoser_auth: did you mean group?", 3},
		{inGate("super_user"), "unknown word 'super_user' in djoser_auth: did you mean superuser?", 3},
		{inGate("assertion {\naudiance x\n}"), "unknown word 'audiance' in assertion: did you mean audience?", 4},
		{inMatcher("staf"), "unknown word 'staf' in djoser_token: did you mean staff?", 3},
		{":8080 {\ndjoser /auth/* {\ndomain x.example\nbasic_auth {\nann x\n}\n}", "'basic_auth' is a directive, and no word of djoser: is a } missing before it?", 4},
		{":8080 {\ndjoser /auth/* {\ndomain x.example\ndjoser_pages /account/*\ndjoser_auth\n}", "'djoser_pages' is a directive, and no word of djoser: is a } missing before it?", 4},
		{":8080 {\ndjoser_pages /account/* {\ncolour x\n}\n}", "unknown word 'colour' in djoser_pages: did you mean color?", 3},
		{inBlock("store /var/lib/accounts"), "store needs the name of an engine before /var/lib/accounts: 'store badger /var/lib/accounts'", 3},
		{inBlock("mailer /var/mails"), "mailer needs the name of an engine before /var/mails: 'mailer file /var/mails'", 3},

		{inBlock("domain a.b\ndomain b.c"), "duplicate domain", 4},
		{inBlock("domain a.b {\nx\n}"), noBlock, 3},
		{inBlock("set_password_retype {\n}"), noBlock, 3},

		// Texts.
		{inBlock("domain"), quoted("domain"), 3},
		{inBlock("activation_url #/x"), quoted("activation_url"), 3},
		{inBlock("domain a b"), "unexpected argument 'b' after domain: " + spaces, 3},
		{inBlock("site_name My Site"), "unexpected argument 'Site' after site_name: " + spaces, 3},
		{inBlock(`site_name ""`), "site_name is empty: give it a value, or leave it out", 3},
		{inBlock("templates"), quoted("templates"), 3},
		{inBlock("realm"), quoted("realm"), 3},
		{inBlock("realm ../x"), `realm name "../x": use letters, digits, and . _ - inside`, 3},
		{inBlock(`realm ""`), `realm name "": use letters, digits, and . _ - inside`, 3},
		{inBlock("prefix"), quoted("prefix"), 3},
		{inBlock("prefix /auth/*"), `prefix is "/auth/*": it must be a path such as /auth`, 3},
		{inBlock("domain https://x.com"), `domain is "https://x.com": it must be a host, maybe with a port and a path, such as frontend.com`, 3},
		{inBlock("protocol ftp"), `protocol is "ftp": it must be http or https`, 3},
		{inBlock("password_reset_confirm_url /{uid}"), `password_reset_confirm_url is "/{uid}": it must hold {uid} and {token}`, 3},
		{inBlock("activation_url /x"), `activation_url is "/x": it must hold {uid} and {token}`, 3},
		{inBlock(`activation_url "a b{uid}{token}"`), `activation_url is "a b{uid}{token}": it must be a path without white space, quotes, backslashes or angle brackets`, 3},
		{inBlock("from_email nobody"), `from_email: "nobody" is no mail address: mail: missing '@' or angle-addr`, 3},
		{inBlock("reply_to"), quoted("reply_to"), 3},
		{inBlock("reply_to a@"), `reply_to: "a@" is no mail address: mail: missing '@' or angle-addr`, 3},

		// Switches, numbers, sizes, durations, lists.
		{inBlock("set_password_retype maybe"), "set_password_retype is 'maybe': it must be on or off", 3},
		{inBlock("set_password_retype {env.X}"), "set_password_retype is '{env.X}': it must be on or off", 3},
		{inBlock("set_password_retype on off"), "unexpected argument 'off' after set_password_retype: " + spaces, 3},
		{inBlock("link_ttl soon"), "link_ttl is 'soon': " + duration, 3},
		{inBlock("link_ttl -1h"), "link_ttl is '-1h': " + duration, 3},
		{inBlock("max_body much"), "max_body is 'much': " + size, 3},
		{inBlock("max_body 0"), "max_body is '0': " + size, 3},
		{inBlock("cache many"), "cache is 'many': it must be a whole number from 1 to 2147483647", 3},
		{inBlock("cache"), quoted("cache"), 3},
		{inBlock("cache off x"), "unexpected argument 'x' after cache: " + spaces, 3},
		{inBlock("disable"), "disable needs at least one value", 3},
		{inBlock("disable {\nme\n}"), "disable needs at least one value", 3},
		{inBlock(`disable me ""`), "disable has an empty value: leave it out", 3},
		{inBlock("disable me nothing"), "disable: unknown endpoint nothing" + endpoints, 3},
		{inBlock("disable {env.X}"), "disable: unknown endpoint {env.X}" + endpoints, 3},
		{inBlock("cors"), "cors needs at least one value", 3},
		{inBlock("cors *"), `cors "*": name each front end by its origin, such as https://app.example.com, without a path or a slash at the end`, 3},

		// Stores and mailers.
		{inBlock("store"), "store needs the name of an engine: " + stores, 3},
		{inBlock("store sqlite x"), "unknown store 'sqlite': use " + stores + ", or build Caddy with the module djoser.stores.sqlite", 3},
		{inBlock("store badger a b"), `unexpected argument "b": badger takes one path; quote it if it has spaces`, 3},
		{inBlock("mailer"), "mailer needs the name of an engine: file, log, smtp", 3},
		{inBlock("mailer pigeon"), "unknown mailer 'pigeon': use file, log, smtp, or build Caddy with the module djoser.mailers.pigeon", 3},
		{inBlock("mailer log x"), "unexpected argument 'x' after mailer log: " + spaces, 3},
		{inBlock("mailer smtp a:25 {\ntls maybe\n}"), "tls is 'maybe': it must be starttls, tls, none or none force", 4},

		// The user model.
		{inBlock("user_model"), "user_model needs a block: 'user_model {' and its lines", 3},
		{inBlock("user_model x"), "unexpected argument 'x': user_model takes a block", 3},
		{inBlock("user_model {\nname x\n}"), "unknown word 'name' in user_model: use username_field, required_fields or field", 4},
		{inBlock("user_model {\nusername_field nick\n}"), "user_model: username_field nick is not a field: declare it with 'field nick char'", 3},
		{inBlock("user_model {\nrequired_fields nick\n}"), "user_model: required_fields: nick is not a field: declare it with 'field nick <type>'", 3},
		{inBlock("user_model {\nrequired_fields username\n}"), "user_model: required_fields: username is the username field, which is always required", 3},
		{inBlock("user_model {\nfield\n}"), "field needs a name, such as 'field company char'", 4},
		{inBlock("user_model {\nfield a text b\n}"), "unexpected argument 'b': after the type of field a comes a block", 4},
		{inBlock("user_model {\nfield a text\nfield a text\n}"), "field a is declared twice", 5},
		{inBlock("user_model {\nfield a string\n}"), "field a: unknown type string: use char, text, email, url, integer, boolean or date", 4},
		{inBlock("user_model {\nfield a char {\nblank\n}\n}"), "field a: a field of type char needs max_length", 4},
		{inBlock("user_model {\nfield a integer {\nmax_length 3\n}\n}"), "field a: a field of type integer takes no max_length", 4},
		{inBlock("user_model {\nfield is_staff boolean\n}"), "field is_staff: the name is reserved", 4},
		{inBlock("user_model {\nfield email char\n}"), "field email: the type of this built-in field is email, not char", 4},
		{inBlock("user_model {\nfield a char {\nsize 3\n}\n}"), "unknown word 'size' in field a: use max_length, unique, blank, default, choices, read_only, case_insensitive or single_script", 5},
		{inBlock("user_model {\nfield a char {\nmax_length 3 {\n}\n}\n}"), noBlock, 5},
		{inBlock("user_model {\nfield a char {\nchoices\n}\n}"), "choices needs at least one value", 5},

		// Passwords, tokens, throttles.
		{inBlock("password"), "password needs a block: 'password {' and its lines", 3},
		{inBlock("password {\nsalt x\n}"), "unknown word 'salt' in password: use hasher, min_length, max_length, validators, pwned_url, workers or queue", 4},
		{inBlock("password {\nhasher md5\n}"), "unknown hasher 'md5': new passwords are hashed with argon2id only", 4},
		{inBlock("password {\nhasher argon2id {\nmemory 1GiB\n}\n}"), "memory of Argon2id is 1048576 KiB: it must be from 8 KiB to 262144 KiB; use 19456 KiB or more", 4},
		{inBlock("password {\nhasher argon2id {\nmemory 19\n}\n}"), "memory is '19', which is 19 bytes: add a unit, such as 19MiB", 5},
		{inBlock("password {\nhasher argon2id {\nmemory 19456\n}\n}"), "memory is '19456', which is 19456 bytes: add a unit, such as 19MiB", 5},
		{inBlock("password {\nhasher argon2id {\nparallelism 256\n}\n}"), "parallelism is '256': it must be a whole number from 1 to 255", 5},
		{inBlock("password {\nhasher argon2id {\nrounds 2\n}\n}"), "unknown word 'rounds' in hasher argon2id: use memory, iterations or parallelism", 5},
		{inBlock("password {\nmin_length -1\n}"), "min_length is '-1': it must be a whole number from 0 to 2147483647", 4},
		{inBlock("password {\nworkers 5000\n}"), "workers is '5000': it must be a whole number from 1 to 1024", 4},
		{inBlock("password {\nvalidators strong\n}"), "password validators: unknown validator strong: use some of common, numeric, similar and pwned, or off alone", 4},
		{inBlock("password {\npwned_url localhost:8081\n}"), "password pwned_url: \"localhost:8081\" is not the URL of ranges, such as https://api.pwnedpasswords.com/range/", 4},
		{inBlock("password {\nvalidators off common\n}"), "unexpected argument 'common' after validators: " + spaces, 4},
		{inBlock("token"), "token needs a block: 'token {' and its lines", 3},
		{inBlock("token {\nlife 1h\n}"), "unknown word 'life' in token: use ttl, idle, per_user, named_ttl, named_per_user, schemes or cookie", 4},
		{inBlock("token {\nttl never\n}"), "ttl is 'never': " + duration, 4},
		{inBlock("token {\nttl off on\n}"), "unexpected argument 'on' after ttl: " + spaces, 4},
		{inBlock("token {\ncookie \"a b\"\n}"), `token cookie "a b": a name has letters, digits, and characters such as _ - . and at most 64 of them`, 4},
		{inBlock("token {\ncookie \"\"\n}"), `token cookie "": a name has letters, digits, and characters such as _ - . and at most 64 of them`, 4},
		{inBlock("token {\ncookie __host-x\n}"), "token cookie __host-x: leave out __host-: over HTTPS, __Host- is put before the name", 4},
		{inBlock("token {\ncookie a b\n}"), "unexpected argument 'b' after cookie: a value with spaces must be quoted", 4},
		{inBlock("token {\ncookie {\nhost x\n}\n}"), "unknown word 'host' in cookie: did you mean hosts?", 5},
		{inBlock("token {\ncookie a {\nhosts https://wiki.example.com\n}\n}"), `token cookie hosts: "https://wiki.example.com" is not a host: write it in small letters, without a scheme or a path, such as wiki.example.com or *.apps.example.com`, 5},
		{inBlock("token {\ncookie {\nhosts\n}\n}"), "hosts needs at least one value", 5},
		{inBlock("token {\nnamed_ttl never\n}"), "named_ttl is 'never': " + duration, 4},
		{inBlock("token {\nnamed_per_user 1001\n}"), "named_per_user is '1001': it must be a whole number from 1 to 1000", 4},
		{inBlock("token {\nschemes \"a b\"\n}"), `token schemes: "a b" is not the name of a scheme`, 4},
		{inBlock("throttle"), "throttle needs a block: 'throttle {' and its lines", 3},
		{inBlock("throttle on"), "unexpected argument 'on': throttle takes a block", 3},
		{inBlock("throttle {\nlogins 1/1m\n}"), "unknown word 'logins' in throttle: did you mean login?", 4},
		{inBlock("throttle {\nlogin\n}"), "login needs a rate, such as 10/1m, or off", 4},
		{inBlock("throttle {\nlogin 10\n}"), `login: rate "10": it must be a number and a time, such as 10/1m, of at most 10000 and 30d`, 4},
		{inBlock("throttle {\nshared maybe\n}"), "shared is 'maybe': it must be on or off", 4},
		{inBlock("throttle {\nshared\n}"), "throttle shared: the badger store is of one server, which counts alone: leave out 'shared', or use a store that several servers share, such as postgres", 4},

		// Providers.
		{inBlock("provider"), "provider needs a name: use 'provider google', 'provider github' or 'provider <name> oidc <issuer>'", 3},
		{inBlock("provider corp"), "provider corp: say what it is: 'provider corp oidc <issuer>', or google or github", 3},
		{inBlock("provider oidc"), "provider oidc: say what it is: 'provider oidc oidc <issuer>', or google or github", 3},
		{inBlock("provider corp saml https://a.example"), "provider corp: say what it is: 'provider corp oidc <issuer>', or google or github", 3},
		{inBlock("provider corp oidc"), "provider corp oidc needs its issuer, such as https://id.example.com", 3},
		{inBlock("provider corp oidc id.example.com"), `provider corp: "id.example.com" is not the URL of a provider, such as https://id.example.com`, 3},
		{inBlock("provider corp oidc http://id.example.com"), `provider corp: "http://id.example.com": a provider needs https`, 3},
		{inBlock("provider corp oidc https://id.example.com/.well-known/openid-configuration"), `provider corp: "https://id.example.com/.well-known/openid-configuration": leave out /.well-known/openid-configuration`, 3},
		{inBlock("provider google google x"), "unexpected argument 'x' after 'provider google google'", 3},
		{inBlock("provider google"), "provider needs a block: 'provider {' and its lines", 3},
		{inBlock("provider google {\nclient_id a\n}"), "provider google: client_id and client_secret are needed: the provider gives them", 3},
		{inBlock("provider google {\nclient_id\n}"), quoted("client_id"), 4},
		{inBlock("provider google {\nsecret a\n}"), "unknown word 'secret' in provider: use client_id, client_secret, redirect_uris, label or url", 4},
		{inBlock("provider google {\nclient_id a\nclient_secret b\nurl https://x.example\n}"), "provider google: url is for a GitHub Enterprise Server", 3},
		{inBlock("provider github {\nurl github.example\n}"), `url: "github.example" is not the URL of a provider, such as https://id.example.com`, 4},
		{inBlock("provider google {\nredirect_uris\n}"), "redirect_uris needs at least one value", 4},
		{inBlock("provider google {\nredirect_uris app.example/x\n}"), `redirect_uris: "app.example/x" is not the URL of a page, such as https://app.example.com/google`, 4},
		{inBlock("provider Google google {\nclient_id a\nclient_secret b\n}"), `provider "Google": a name has small letters, digits, - and _, at most 32`, 3},
		{inBlock("provider google {\nclient_id a\nclient_secret b\n}\nprovider google {\nclient_id a\nclient_secret b\n}"), "duplicate provider google", 7},

		// What is missing.
		{inBlock(without(mailLines, "domain")), "domain is missing: links in mails need it, since password_reset is enabled; without mails, use 'disable password_reset'", 2},
		{inBlock("disable password_reset\nsend_activation_email"), "domain is missing: links in mails need it, since send_activation_email is on; without mails, use 'disable password_reset'", 2},
		{inBlock(without(mailLines, "site_name")), "site_name is missing: mails need it, since password_reset is enabled; without mails, use 'disable password_reset'", 2},
		{inBlock("disable password_reset activate\nlogin_after_activation"), "login_after_activation is on, but activate is disabled", 4},

		// What doesn't go together.
		{inBlock(mailLines + "send_activation_email\nuser_model {\nrequired_fields\n}"), "send_activation_email needs an address: put email into required_fields of user_model", 8},
		{inBlock(mailLines + "send_activation_email\nquiet_registration\nendpoints classic v2\ndisable username_reset\nuser_model {\nusername_field email\nrequired_fields\n}"), "quiet_registration doesn't work with 'endpoints v2' where people log in with their address: the answer has the id of the new account, and an address that is taken gets none", 9},
		{inBlock(noMails + "quiet_registration"), "quiet_registration needs send_activation_email: without it, a registration shows whether its address is taken", 4},
		{inBlock(noMails + "password {\nmin_length 9\nmax_length 8\n}"), "password min_length 9 is more than max_length 8", 5},
		{inBlock(noMails + "max_body 1KB"), "password max_length 4096: it must be from 1 to max_body, which is 1000", 2},
		{inBlock(noMails + "password {\npwned_url https://a.example/range/\n}"), "password pwned_url is for the validator pwned: add that to validators", 5},
		{inBlock("disable password\ntoken {\nidle 5s\n}\n" + mailLines), "token idle is 5s: it must be at least a minute", 5},
		{inBlock(noMails + "jwt {\naccess 5m\n}"), "jwt is for djoser 2's layout: add the line 'endpoints v2', or 'endpoints classic v2'", 4},
		{inBlock(noMails + v2 + "jwt {\naccess 2d\n}"), "jwt access is 48h0m0s, longer than refresh, which is 24h0m0s: take a shorter one", 6},
		{inBlock(noMails + v2 + "jwt {\nalgorithm HS256\n}"), "jwt algorithm HS256 needs the line 'key' with the key that is shared, such as key {env.JWT_KEY}", 6},
		{inBlock(noMails + v2 + "jwt {\nalgorithm HS256\nkey short\n}"), "jwt key has 5 bytes: it must have at least 32, or it could be guessed", 7},
		{inBlock(noMails + v2 + "jwt {\nkey " + strings.Repeat("x", 32) + "\n}"), "jwt key is for algorithm HS256 alone: with ES256 the realm makes its keys", 6},
		{inBlock(noMails + v2 + "login_field nick"), "login_field nick is not a field of user_model", 5},
		{inBlock(noMails + "cors https://a.example {\nheaders a:b\n}"), `cors headers: "a:b" is not the name of a header`, 5},
		{inBlock(noMails + "registration invite\nuser_model {\nfield invitation text\n}"), "user_model: field invitation: the name is reserved with 'registration invite'", 6},
		{inBlock(noMails + "mailer smtp mail.x.com:25 {\ntls none\n}"), "mailer smtp: tls none is for a server on this machine; on the way to mail.x.com, the links in mails could be read: if you accept that, say tls none force", 5},
		{inBlock(noMails + "mailer smtp mail.x.com:25 {\npassword {env.X}\n}"), "mailer smtp: there is a password, but no username", 4},
		{inBlock(noMails + "mailer smtp a.x:25 {\nusername x\npassword y\nauth none\n}"), "mailer smtp: auth none takes no username", 7},
		{inBlock(noMails + "mailer smtp 127.0.0.1:25 {\ntls none\ntrusted_ca /ca.pem\n}"), "mailer smtp: trusted_ca goes with tls starttls or tls, not with tls none", 6},

		// The gate and the matcher.
		{":8080 {\ndjoser_auth /api/* x\n}", "unexpected argument 'x': put the settings of djoser_auth in a block; a path before it starts with '/'", 2},
		{inGate("admin"), "unknown word 'admin' in djoser_auth: use realm, staff, superuser, user, group, scope, fresh, mfa, unconfirmed_email, encoded_slashes, optional, basic, login_url, headers, assertion, keep_authorization or early_data", 3},
		{inGate("user"), "user needs at least one value", 3},
		{inGate("scope"), "scope needs at least one value", 3},
		{inGate("scope read,write"), `scope "read,write": it has 1 to 64 letters, digits and . _ : / -, and begins with a letter or a digit`, 3},
		{inGate("realm a/b"), `realm name "a/b": use letters, digits, and . _ - inside`, 3},
		{inGate("fresh 0"), "fresh is '0': " + duration, 3},
		{inGate("staff {\n}"), noBlock, 3},
		{inGate("headers"), "headers needs a block: 'headers {' and its lines", 3},
		{inGate("headers {\n}"), "headers has no lines: name the headers, such as 'Remote-User {http.auth.user.username}', or use 'headers off'", 4},
		{inGate("headers {\nRemote:User x\n}"), `"Remote:User" is not the name of a header`, 4},
		{inGate("headers {\nauthorization x\n}"), "the header Authorization holds the token; keep_authorization passes it on", 4},
		{inGate("headers {\nConnection x\n}"), "Connection is for the connection to the back end, and can't be set here", 4},
		{inGate("headers {\nX-A 1\nx-a 2\n}"), "duplicate X-A", 5},
		{inGate("headers {\nX-A\n}"), quoted("X-A"), 4},
		{":8080 {\n@x djoser_token staff\nrespond @x 200\n}", "unexpected argument 'staff': put the settings of djoser_token in a block", 2},
		{inMatcher("optional"), "unknown word 'optional' in djoser_token: use realm, staff, superuser, user, group, scope, fresh, mfa, unconfirmed_email or encoded_slashes", 3},
		{inMatcher("group"), "group needs at least one value", 3},
		{":8080 {\n@x {\ndjoser_token\ndjoser_token {\nstaff\n}\n}\nrespond @x 200\n}", "duplicate djoser_token in one matcher: put its rights, which are alternatives, in one block", 4},
	} {
		_, err := testsite.Adapt(c.text)
		if err == nil {
			t.Errorf("taken:\n%s", c.text)
			continue
		}
		want := fmt.Sprintf("%s, at Caddyfile:%d", c.want, c.line)
		if got := taughtOf(err); got != want {
			t.Errorf("%s\n got %s\nwant %s", c.text, got, want)
		}
	}
}

// mailLines are the settings that mails need.
const mailLines = "domain x.com\nsite_name X\npassword_reset_confirm_url \"r/{uid}/{token}\"\nactivation_url \"a/{uid}/{token}\"\nmailer log\n"

// without removes the line that starts like this.
func without(text, start string) string {
	return regexp.MustCompile("(?m)^"+start+".*\n").ReplaceAllString(text, "")
}

func TestSettingsThatCannotWorkAreRefusedWithTheReason(t *testing.T) {
	const noMails = "disable password_reset\n"
	t.Setenv("EMPTY", "")
	t.Setenv("PROTOCOL", "ftp")
	dir := t.TempDir()
	t.Setenv("DIR", dir)
	for _, c := range []struct{ text, want string }{
		// Required by mails, unless pages make up for them.
		{inBlock(without(mailLines, "password_reset")), "realm default: password_reset_confirm_url is missing, though password_reset is enabled: it is the path to the front end's page, such as \"#/password_reset_confirm/{uid}/{token}\"; or add 'djoser_pages /account/*', where links lead to then"},
		{inBlock(without(mailLines, "activation_url") + "send_activation_email"), "realm default: activation_url is missing, though send_activation_email is on: it is the path to the front end's page, such as \"#/activation/{uid}/{token}\"; or add 'djoser_pages /account/*', where links lead to then"},
		{inBlock(without(mailLines, "mailer")), "realm default: mailer is missing, though password_reset is enabled: use 'mailer smtp <host:port>', 'mailer file <dir>' or, to try things out, 'mailer log'; without mails, use 'disable password_reset'"},

		// Values of placeholders.
		{inBlock(without(mailLines, "domain") + "domain {env.EMPTY}"), "realm default: domain: {env.EMPTY} is empty"},
		{inBlock(without(mailLines, "domain") + "domain {env.PROTOCOL}://x"), `realm default: domain is "ftp://x": it must be a host, maybe with a port and a path, such as frontend.com`},
		{inBlock(noMails + "protocol {env.PROTOCOL}"), `realm default: protocol is "ftp": it must be http or https`},
		{inBlock(without(mailLines, "password_reset") + "password_reset_confirm_url \"{env.PROTOCOL}/{uid}\""), `realm default: password_reset_confirm_url is "ftp/{uid}": it must hold {uid} and {token}`},
		{inBlock(noMails + "realm {env.EMPTY}"), "realm: {env.EMPTY} is empty"},
		{inBlock(noMails + "realm a{env.PROTOCOL}/"), `realm name "aftp/": use letters, digits, and . _ - inside`},
		{":8080 {\ndjoser /{path}/* {\n" + noMails + "}\n}", `prefix: a brace stands for a placeholder, and this one is unknown; write \{ for the brace itself`},
		{inBlock(noMails) + "\n:8081 {\ndjoser_auth {\nuser {env.EMPTY}\n}\n}", "user: {env.EMPTY} is empty"},
		{inBlock(noMails + "cors {env.PROTOCOL}"), `realm default: cors "ftp": name each front end by its origin, such as https://app.example.com, without a path or a slash at the end`},

		{inBlock(mailLines + "templates {$DIR}/none"), "realm default: templates: open " + dir + "/none: no such file or directory"},

		// Realms.
		{inBlock(noMails) + "\n:8081 {\ndjoser /a/* {\n" + noMails + "link_ttl 1d\n}\n}", "realm default is defined at Caddyfile:9 already, and differently: define it once, and write 'djoser' with its path and without a block elsewhere, at Caddyfile:15"},
		{inBlock(noMails+"store badger {$DIR}") + "\n:8081 {\ndjoser /a/* {\nrealm two\n" + noMails + "store badger {$DIR}/../" + filepath.Base(dir) + "\n}\n}", "realms default and two have the same store, " + dir + ": give each its own"},
	} {
		if err := validate(t, "{\nadmin off\npersist_config off\nlog {\nlevel ERROR\n}\n}\n"+c.text); err == nil {
			t.Errorf("taken:\n%s", c.text)
		} else if !strings.HasSuffix(err.Error(), ": "+c.want) {
			t.Errorf("%s\n got %s\nwant %s", c.text, err, c.want)
		}
	}
}

// TestSettingsInJSONAreChecked is about settings that a Caddyfile can't express.
func TestSettingsInJSONAreChecked(t *testing.T) {
	for settings, want := range map[string]string{
		`"link_ttl": -1`:                            "realm default: link_ttl is -1ns: it can't be negative",
		`"token": {"ttl": -1}`:                      "realm default: token ttl is -1ns: it can't be negative; 0 is for ever",
		`"token": {"per_user": -1}`:                 "realm default: token per_user is -1: it can't be negative",
		`"token": {"named_ttl": -1}`:                "realm default: token named_ttl is -1ns: it can't be negative; 0 is for no limit",
		`"token": {"named_per_user": -1}`:           "realm default: token named_per_user is -1: it must be from 1 to 1000",
		`"token": {"schemes": []}`:                  "realm default: token schemes is empty: name one, such as Token",
		`"token": {"cookie": {"name": "__Host-x"}}`: "realm default: token cookie __Host-x: leave out __Host-: over HTTPS, __Host- is put before the name",
		`"token": {"cookie": {"hosts": ["a b"]}}`:   `realm default: token cookie hosts: "a b" is not a host: write it in small letters, without a scheme or a path, such as wiki.example.com or *.apps.example.com`,
		`"password": {"workers": 100000}`:           "realm default: password workers is 100000: it must be at most 1024",
		`"password": {"queue": -1}`:                 "realm default: password queue is -1: it must be at most 1048576",
		`"password": {"validators": ["x"]}`:         "realm default: password validators: unknown validator x: use some of common, numeric, similar and pwned, or off alone",
		`"password": {"pwned_url": "http://a/"}`:    "realm default: password pwned_url is for the validator pwned: add that to validators",
		`"password": {"hasher": {"memory": 8}}`:     "realm default: password hasher argon2id: parallelism of Argon2id is 0: it must be from 1 to 32; 1 is right for a server",
		`"throttle": {"endpoints": {"x": []}}`:      "realm default: throttle: unknown endpoint x: use shared, wrong_passwords, " + strings.Join(api.CountedNames(), ", "),
		`"send_activation_email": true`:             "realm default: domain is missing: links in mails need it, since send_activation_email is on; without mails, use 'disable password_reset'",
		`"protocol": "gopher"`:                      `realm default: protocol is "gopher": it must be http or https`,
		`"user_model": {"fields": [{"name": ""}]}`:  "realm default: user_model: field : a name has letters, digits and underscores, and starts with a letter",
	} {
		config := `{"admin": {"disabled": true}, "logging": {"logs": {"default": {"level": "ERROR"}}}, "apps": {"http": {"servers": {"s": {"listen": ["127.0.0.1:0"], "routes": [{"handle": [
			{"handler": "djoser", "settings": {"disable": ["password_reset"], ` + settings + `}}]}]}}}}}`
		var parsed caddy.Config
		err := json.Unmarshal([]byte(config), &parsed)
		if err == nil {
			err = caddy.Validate(&parsed)
		}
		if err == nil || !strings.HasSuffix(err.Error(), ": "+want) {
			t.Errorf("%s\n got %v\nwant %s", settings, err, want)
		}
	}
}

func TestUsesOfARealmAreCheckedAtTheStart(t *testing.T) {
	const members = "djoser /auth/* {\nrealm members\ndisable password_reset\nstore badger {$DIR}/store\n}\n"
	for site, want := range map[string]string{
		members + "djoser_auth /api/* {\nrealm member\n}": "djoser_auth: realm member is not defined: give a djoser directive a block with 'realm member' and its settings, at least 'disable password_reset'; there is members",
		"djoser /auth/*": "djoser /auth: realm default is not defined: give a djoser directive a block with its settings, at least 'disable password_reset'",
		"djoser":         "djoser: realm default is not defined: give",
		members + "djoser_auth {\nrealm members\nheaders {\nX-Id {http.auth.user.id}\nX-Company \"of {http.auth.user.company}\"\n}\n}": "djoser_auth: realm members: header X-Company: unknown placeholder {http.auth.user.company}: after {http.auth.user. there is id, username, email, is_staff, is_superuser, groups; another field must be one of required_fields",
	} {
		if err := newServer(t).Load(site); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestPlaceholdersStayUntilTheConfigurationIsLoaded(t *testing.T) {
	s := newServer(t)
	name := filepath.Join(s.Dir, "name")
	if err := os.WriteFile(name, []byte("From a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for variable, value := range map[string]string{"REALM": "members", "PREFIX": "accounts", "DOMAIN": "front.test", "EDITORS": "editors", "SWITCH": "off", "TTL": "2h", "URL": "reset"} {
		t.Setenv(variable, value)
	}
	lines := strings.NewReplacer(
		"domain frontend.com", "realm {env.REALM}\ndomain {env.DOMAIN}\nset_password_retype {$SWITCH}\nlink_ttl {$TTL}",
		"site_name Frontend", "site_name {file."+name+"}",
		"#/password/reset", "#/{env.URL}",
	).Replace(required)
	site := "djoser /{env.PREFIX}/* {\n" + lines + "\n}\ndjoser_auth /editors {\nrealm {env.REALM}\ngroup {env.EDITORS}\n}\nrespond /editors 200"

	config, err := testsite.Adapt(":8080 {\n" + site + "\n}")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"realm":"{env.REALM}"`, `"prefix":"/{env.PREFIX}"`, `"domain":"{env.DOMAIN}"`, `"site_name":"{file.` + name + `}"`,
		`"password_reset_confirm_url":"#/{env.URL}/confirm/{uid}/{token}"`, `"groups":["{env.EDITORS}"]`, `"link_ttl":7200000000000`,
	} {
		if !bytes.Contains(config, []byte(want)) {
			t.Errorf("no %s in %s", want, config)
		}
	}

	if err := s.Load(site); err != nil {
		t.Fatal(err)
	}
	got := runningRealm(t, "members").settings
	if got.Domain != "front.test" || got.SiteName != "From a file" || got.SetPasswordRetype || got.PasswordResetConfirmURL != "#/reset/confirm/{uid}/{token}" {
		t.Errorf("%+v", got)
	}
	s.Post("/accounts/register", "", "username", "ann", "password", "pw").Want(t, 201)
	a := s.Post("/accounts/login", "", "username", "ann", "password", "pw")
	var body struct {
		AuthToken string `json:"auth_token"`
	}
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatal(err)
	}
	s.Get("/editors", body.AuthToken).Want(t, 403)
}

func TestASinglePageAppLeavesTheEndpointsAlone(t *testing.T) {
	s := newServer(t)
	if err := os.WriteFile(filepath.Join(s.Dir, "index.html"), []byte("the app"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Load("root {$DIR}\ntry_files {path} /index.html\nfile_server\nredir /old /new\ndjoser /auth/* {\n" + required + "\n}")
	if err != nil {
		t.Fatal(err)
	}
	token := s.Register("ann", "pw")
	s.Get("/auth/me", token).Want(t, 200, `{"email": "ann@example.com", "username": "ann"}`)
	s.Get("/auth/nothing", "").Want(t, 404, `{"detail": "Not found."}`)
	for _, path := range []string{"/", "/login", "/authors", "/deep/link"} {
		s.Get(path, "").Want(t, 200, "the app")
	}
	s.Get("/old", "").Want(t, 302)
}

func TestARealmIsMountedWhereAPathIsStripped(t *testing.T) {
	s := serve(t, "djoser /auth/* {\n"+required+"\n}\nhandle_path /v1/* {\ndjoser {\nprefix \"\"\n}\n}\nhandle_path /v2/* {\ndjoser\n}")
	token := s.Register("ann", "pw")
	s.Get("/v1/me", token).Want(t, 200)
	s.Get("/v2/me/", token).Want(t, 200)
	s.Get("/v2/me", "").Want(t, 401)
	s.Get("/v1/nothing", token).Want(t, 404, `{"detail": "Not found."}`)
}

func TestSitesShareARealmOrHaveTheirOwn(t *testing.T) {
	one, two := newServer(t), newServer(t)
	second := strings.Replace(required, "{$DIR}/store", "{$DIR}/second", 1)
	load := func(snippet, inOne, inTwo string) {
		t.Helper()
		if err := one.LoadFile(testsite.Options + snippet + "http://" + one.Addr + " {\n" + inOne + "\n}\nhttp://" + two.Addr + " {\n" + inTwo + "\n}\n"); err != nil {
			t.Fatal(err)
		}
	}
	load("(accounts) {\ndjoser /auth/* {\n"+required+"\n}\n}\n", "import accounts", "import accounts")
	token := one.Register("ann", "pw")
	two.Get("/auth/me", token).Want(t, 200)
	two.Post("/auth/logout", token).Want(t, 200)
	one.Get("/auth/me", token).Want(t, 401)

	load("", "djoser /auth/* {\n"+required+"\n}", "djoser /auth/* {\nrealm second\n"+second+"\n}")
	token = one.Login("ann", "pw")
	two.Get("/auth/me", token).Want(t, 401)
	two.Register("ann", "another")
	one.Get("/auth/me", token).Want(t, 200)
	two.Get("/auth/me", two.Login("ann", "another")).Want(t, 200)
}

// TestTheProviderAuthenticatesForCaddysOwnHandler needs JSON, since no directive of
// Caddy accepts a provider.
func TestTheProviderAuthenticatesForCaddysOwnHandler(t *testing.T) {
	s := newServer(t)
	config, err := s.Adapt(testsite.Options + "http://" + s.Addr + " {\ndjoser /auth/* {\n" + required + "\n}\nvars /private x y\nrespond /private \"{http.auth.user.id} {http.auth.user.username}\"\n}")
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.Replace(config, []byte(`{"handler":"vars","x":"y"}`), []byte(`{"handler":"authentication","providers":{"djoser":{"groups":["readers"]}}}`), 1)
	if err := s.LoadJSON(config); err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	token := s.Register("ann", "pw")
	s.Get("/private", "").Want(t, 401)
	s.Get("/private", token).Want(t, 401)
	change(t, "ann", func(a *model.Account) { a.Groups = []string{"readers"} })
	s.Get("/private", token).Want(t, 200, "1 ann")
}

// FuzzCaddyfile feeds the parsers of all directives. What they accept comes back from
// JSON unchanged, and is accepted again. Their errors have a position.
func FuzzCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"djoser {\n" + mailLines + "\n}",
		"djoser {\nuser_model {\nusername_field email\nrequired_fields a\nfield a char {\nmax_length 3\nchoices b c\ndefault b\n}\n}\npassword {\nhasher argon2id {\nmemory 8KiB\n}\nvalidators off\n}\ntoken {\nttl off\nidle 1h\n}\n}",
		"djoser {\nthrottle {\nlogin 1/1m 2/1h\nme off\n}\ncache off\ndisable me login\nstore badger /x {\nreserve 1MB\n}\nmailer smtp a:25 {\ntls none force\n}\n}",
		"djoser {\nprefix \"\"\nrealm {env.X}\n}",
		"djoser_auth {\nstaff\nuser a b\nfresh 1h\nheaders {\nX-User {http.auth.user.id}\n}\n}",
		"djoser_token {\ngroup \"a b\"\nsuperuser off\n}",
		"djoser {\ndomain a.b {\n}\n}",
		"djoser {",
		"0 { throttle { }",
		"djoser_auth {\nheaders {\n}\n}",
		"djoser {\nthrottle {\n}\n}",
		"djoser {\nthrottle {\n}",
		"djoser {\nuser_model {\nfield a char {\nmax_length 3\n}\n}",
		"djoser {\npassword {\nhasher argon2id {\n}\n}\ntoken {\n}\n}",
		"djoser_token a {\n}\ndjoser_token",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !caddyfile.NewTestDispenser(text).Next() {
			t.Skip("there is no directive")
		}
		for _, module := range []func() caddyfile.Unmarshaler{
			func() caddyfile.Unmarshaler { return new(Handler) },
			func() caddyfile.Unmarshaler { return new(gate.Gate) },
			func() caddyfile.Unmarshaler { return new(gate.MatchToken) },
		} {
			first, second := module(), module()
			if err := first.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
				if !regexp.MustCompile(`, at Testfile:[1-9]\d*$`).MatchString(err.Error()) {
					t.Errorf("%q: no place in %q", text, err)
				}
				continue
			}
			config, err := json.Marshal(first)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if err := caddy.StrictUnmarshalJSON(config, second); err != nil {
				t.Fatalf("%q: %v in %s", text, err, config)
			}
			if again, err := json.Marshal(second); err != nil || !bytes.Equal(config, again) {
				t.Errorf("%q: %s came back as %s, %v", text, config, again, err)
			}
		}
	})
}

func TestABlockThatIsNotClosedIsRefused(t *testing.T) {
	for _, text := range []string{"djoser {", "djoser {\nthrottle {\n}", "djoser {\nuser_model {\nfield a char {\nmax_length 3\n}\n}", "djoser {\ndisable me"} {
		err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err == nil || !strings.Contains(err.Error(), "Testfile:") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
