package djoser

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestDirectivesAdaptToTheirJSON holds what caddy adapt makes of every
// directive. Each file of testdata/caddyfile has a Caddyfile, a line of dashes,
// and the JSON.
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
			config, err := adapt(source)
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

func TestAWrongWordIsToldWithItsPlaceAndWhatWouldBeRight(t *testing.T) {
	for text, want := range map[string]string{
		inBlock("nonsense"):                                                "unknown setting 'nonsense': use one of realm, prefix, domain,",
		inBlock("domain"):                                                  "domain needs a value; one that starts with # must be quoted: domain \"#/...\", at Caddyfile:3",
		inBlock("activation_url #/x"):                                      "activation_url needs a value; one that starts with # must be quoted: activation_url \"#/...\", at Caddyfile:3",
		inBlock("domain a b"):                                              "unexpected argument 'b' after domain: a value with spaces must be quoted, at Caddyfile:3",
		inBlock("domain a\ndomain b"):                                      "domain stands here twice, at Caddyfile:4",
		inBlock("set_password_retype maybe"):                               "set_password_retype is 'maybe': it must be on or off, at Caddyfile:3",
		inBlock("set_password_retype on off"):                              "unexpected argument 'off' after set_password_retype: a value with spaces must be quoted, at Caddyfile:3",
		inBlock("link_ttl soon"):                                           "link_ttl is 'soon': it must be a duration of at least a second, such as 30m, 12h or 3d, at Caddyfile:3",
		inBlock("max_body much"):                                           "max_body is 'much': it must be a size such as 64KiB or 1MB, at Caddyfile:3",
		inBlock("cache many"):                                              "cache is 'many': it must be a whole number of at least 1, at Caddyfile:3",
		inBlock("disable"):                                                 "disable needs at least one value, at Caddyfile:3",
		inBlock("store"):                                                   "store needs the name of an engine: badger, at Caddyfile:3",
		inBlock("store sqlite x"):                                          "unknown store 'sqlite': use badger, or build Caddy with the module djoser.stores.sqlite, at Caddyfile:3",
		inBlock("mailer pigeon"):                                           "unknown mailer 'pigeon': use ",
		inBlock("user_model x"):                                            "unexpected argument 'x': user_model takes a block, at Caddyfile:3",
		inBlock("user_model {\nname x\n}"):                                 "unknown word 'name' in user_model: use username_field, required_fields or field, at Caddyfile:4",
		inBlock("user_model {\nfield\n}"):                                  "field needs a name, such as 'field company char', at Caddyfile:4",
		inBlock("user_model {\nfield a char b\n}"):                         "unexpected argument 'b': after the type of field a comes a block, at Caddyfile:4",
		inBlock("user_model {\nfield a char {\nsize 3\n}\n}"):              "unknown word 'size' in field a: use max_length, unique, blank, default, choices or read_only, at Caddyfile:5",
		inBlock("password {\nhasher md5\n}"):                               "unknown hasher 'md5': new passwords are hashed with argon2id only, at Caddyfile:4",
		inBlock("password {\nmin_length -1\n}"):                            "min_length is '-1': it must be a whole number of at least 0, at Caddyfile:4",
		inBlock("password {\nsalt x\n}"):                                   "unknown word 'salt' in password: use hasher, min_length, max_length, validators, workers or queue, at Caddyfile:4",
		inBlock("token {\nttl never\n}"):                                   "ttl is 'never': it must be a duration of at least a second, such as 30m, 12h or 3d, at Caddyfile:4",
		":8080 {\ndjoser /auth/* x\n}":                                     "unexpected argument 'x': the settings of djoser stand in a block, and a path before it starts with '/', at Caddyfile:2",
		":8080 {\ndjoser_auth /api/* x\n}":                                 "unexpected argument 'x': what djoser_auth asks for stands in a block, and a path before it starts with '/', at Caddyfile:2",
		":8080 {\ndjoser_auth {\nadmin\n}\n}":                              "unknown word 'admin' in djoser_auth: use realm, staff, superuser, user, group, fresh, optional, headers or keep_authorization, at Caddyfile:3",
		":8080 {\ndjoser_auth {\nuser\n}\n}":                               "user needs at least one value, at Caddyfile:3",
		":8080 {\ndjoser_auth {\nheaders {\nRemote:User x\n}\n}\n}":        "'Remote:User' is not the name of a header, at Caddyfile:4",
		":8080 {\n@x djoser_token staff\nrespond @x 200\n}":                "unexpected argument 'staff': what djoser_token asks for stands in a block, at Caddyfile:2",
		":8080 {\n@x {\ndjoser_token {\noptional\n}\n}\nrespond @x 200\n}": "unknown word 'optional' in djoser_token: use realm, staff, superuser, user, group or fresh, at Caddyfile:4",
	} {
		_, err := adapt(text)
		if err == nil {
			t.Errorf("taken:\n%s", text)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngave %q\nwant %q", text, err, want)
		}
		if !strings.Contains(err.Error(), "Caddyfile:") || strings.Contains(err.Error(), "Caddyfile:0") {
			t.Errorf("%s\nno line in %q", text, err)
		}
	}
}

// mails are the settings that mails need.
const mailLines = "domain x.com\nsite_name X\npassword_reset_confirm_url \"r/{uid}/{token}\"\nactivation_url \"a/{uid}/{token}\"\nmailer log\n"

func TestSettingsThatCannotWorkAreRefusedWithTheReason(t *testing.T) {
	for text, want := range map[string]string{
		inBlock("site_name X"): "domain is missing: links in mails need it, since password_reset is enabled; without mails, use 'disable password_reset'",
		inBlock("disable password_reset\nsend_activation_email"):                                                                                          "domain is missing: links in mails need it, since send_activation_email is on",
		inBlock("domain x.com"):                                                                                                                           "site_name is missing: mails need it",
		inBlock("domain x.com\nsite_name X"):                                                                                                              "password_reset_confirm_url is missing, though password_reset is enabled: it is the path to the front end's page, such as \"#/password_reset_confirm/{uid}/{token}\"",
		inBlock("domain x.com\nsite_name X\npassword_reset_confirm_url /{uid}"):                                                                           "password_reset_confirm_url is \"/{uid}\": it must hold {uid} and {token}",
		inBlock(strings.Replace(mailLines, "activation_url", "from_email a@b.c\n#", 1) + "send_activation_email"):                                         "activation_url is missing, though send_activation_email is on",
		inBlock(strings.Replace(mailLines, "mailer log", "", 1)):                                                                                          "mailer is missing, though password_reset is enabled: use 'mailer smtp <host:port>'",
		inBlock(strings.Replace(mailLines, "x.com", "http://x.com", 1)):                                                                                   "domain is \"http://x.com\": it must be a host, maybe with a port and a path, such as frontend.com",
		inBlock("protocol ftp\ndisable password_reset"):                                                                                                   "protocol is ftp: it must be http or https",
		inBlock("disable password_reset nothing"):                                                                                                         "disable: unknown endpoint nothing: use me, register,",
		inBlock("disable password_reset activate\nlogin_after_activation"):                                                                                "login_after_activation is on, but activate is disabled",
		inBlock("disable password_reset\nrealm ../x"):                                                                                                     "realm name \"../x\": use letters, digits, and . _ - inside",
		inBlock("disable password_reset\nuser_model {\nusername_field nick\n}"):                                                                           "user_model: username_field nick is not a field: declare it with 'field nick char'",
		inBlock("disable password_reset\nuser_model {\nrequired_fields nick\n}"):                                                                          "user_model: required_fields: nick is not a field: declare it with 'field nick <type>'",
		inBlock("disable password_reset\nuser_model {\nrequired_fields username\n}"):                                                                      "user_model: required_fields: username is the username field, which is always required",
		inBlock("disable password_reset\nuser_model {\nfield age integer {\nmax_length 3\n}\n}"):                                                          "user_model: field age: a field of type integer takes no max_length",
		inBlock("disable password_reset\nuser_model {\nfield nick char\n}"):                                                                               "user_model: field nick: a field of type char needs max_length",
		inBlock("disable password_reset\nuser_model {\nfield is_staff boolean\n}"):                                                                        "user_model: field is_staff: the name is reserved",
		inBlock("disable password_reset\nuser_model {\nfield email char\n}"):                                                                              "user_model: field email: the type of this built-in field is email, not char",
		inBlock("disable password_reset\npassword {\nvalidators strong\n}"):                                                                               "password validators: unknown validator strong: use common, numeric, similar, or off",
		inBlock("disable password_reset\npassword {\nmin_length 9\nmax_length 8\n}"):                                                                      "password min_length 9 is more than max_length 8",
		inBlock("disable password_reset\npassword {\nhasher argon2id {\nmemory 1GiB\n}\n}"):                                                               "password hasher argon2id: memory of Argon2id is 1048576 KiB",
		inBlock("disable password_reset") + "\n:8081 {\ndjoser /a/* {\ndisable password_reset me\n}\n}":                                                   "realm default is defined twice, and differently: define it once, and write 'djoser { realm default }' elsewhere",
		inBlock("disable password_reset\nstore badger {$DIR}") + "\n:8081 {\ndjoser /a/* {\nrealm two\ndisable password_reset\nstore badger {$DIR}\n}\n}": "have the same store, ",
	} {
		t.Setenv("DIR", t.TempDir())
		if err := validate(t, "{\nadmin off\npersist_config off\n}\n"+text); err == nil {
			t.Errorf("taken:\n%s", text)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngave %q\nwant %q", text, err, want)
		}
	}
}

func TestARealmThatNobodyDefinesIsToldAtTheStart(t *testing.T) {
	s := newServer(t)
	err := s.load("djoser /auth/* {\nrealm members\ndisable password_reset\nstore badger {$DIR}/store\n}\ndjoser_auth /api/* {\nrealm member\n}")
	const want = "djoser_auth: realm member is not defined: add a djoser directive with settings and 'realm member'; there is members"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestPlaceholdersStayUntilTheConfigurationIsLoaded(t *testing.T) {
	t.Setenv("SITE", "Expanded")
	config, err := adapt(inBlock(strings.Replace(mailLines, "site_name X", "site_name {env.SITE}", 1)))
	if err != nil || !bytes.Contains(config, []byte(`"site_name":"{env.SITE}"`)) {
		t.Fatalf("%s, %v", config, err)
	}
	s := serve(t, "djoser /auth/* {\n"+strings.Replace(settings, "site_name Frontend", "site_name {env.SITE}", 1)+"\n}")
	_ = s
	if got := runningRealm(t, "default").settings.SiteName; got != "Expanded" {
		t.Errorf("site_name is %q", got)
	}
}

func FuzzCaddyfile(f *testing.F) {
	f.Add(inBlock(mailLines))
	f.Add(inBlock("user_model {\nusername_field email\nrequired_fields a b\nfield a char {\nmax_length 3\n}\n}\npassword {\nhasher argon2id {\nmemory 8KiB\n}\n}\ntoken {\nttl off\n}"))
	f.Add(":80 {\ndjoser_auth {\nstaff\nheaders {\nX-User {http.auth.user.id}\n}\n}\n@a djoser_token\nrespond @a 200\n}")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "import") { // reads files
			t.Skip()
		}
		config, err := adapt(text)
		if err == nil && !json.Valid(config) {
			t.Errorf("%q gave %q", text, config)
		}
	})
}
