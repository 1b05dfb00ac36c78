package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/internal/browser"
	"github.com/caddy-djoser/djoser/internal/testsite"
)

// npmVariable names a folder with node_modules, for tests with packages of npm.
const npmVariable = "DJOSER_TEST_NPM"

// frontEnds is a realm with what front ends for djoser 2 typically meet: people log in with
// their address, accounts have more members, everything is typed twice and confirmed by
// mail. Front ends are on another origin.
type frontEnds struct {
	*testsite.Site
	mailbox string // address of a server that shows links of mails
	names   int
}

const frontEndName = "app.example.com"

func runFrontEnds(t *testing.T) *frontEnds {
	t.Helper()
	smtp := testsite.StartSMTP(t, "none", nil)
	f := &frontEnds{Site: testsite.New(t)}
	mailbox := testsite.BackEndOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		count, _ := strconv.Atoi(r.FormValue("count"))
		for r.Context().Err() == nil {
			if links := smtp.Links(r.FormValue("to"), r.FormValue("page")); len(links) >= max(count, 1) {
				fmt.Fprint(w, links[len(links)-1])
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
	f.mailbox = "http://" + mailbox + "/"
	_, port, _ := net.SplitHostPort(f.Addr)
	if err := f.LoadFile(testsite.Options + "http://" + frontEndName + ":" + port + ", http://" + f.Addr + ` {
		djoser /auth/* {
			endpoints v2
			domain frontend.com
			site_name Frontend
			protocol http
			activation_url "#/activate/{uid}/{token}"
			password_reset_confirm_url "#/password/reset/{uid}/{token}"
			username_reset_confirm_url "#/username/reset/{uid}/{token}"
			send_activation_email
			send_confirmation_email
			password_changed_email_confirmation
			username_changed_email_confirmation
			user_create_password_retype
			set_password_retype
			password_reset_confirm_retype
			user_model {
				username_field email
				required_fields first_name phone
				field first_name {
					blank off
				}
				field phone char {
					max_length 20
					blank
				}
			}
			jwt {
				rotate
				header_types JWT Bearer
			}
			cors http://` + frontEndName + ":" + port + `
			mailer smtp ` + smtp.Addr + ` {
				tls none
			}
			store badger {$DIR}/store
			throttle off
			` + testsite.Cheap + `
		}
		djoser_auth /api/*
		header /api/* Content-Type application/json
		respond /api/* "{\"email\": \"{http.auth.user.email}\"}"
		respond / "the front end"
	}`); err != nil {
		t.Fatal(err)
	}
	return f
}

// frontEnd is the config of a script in testdata/frontends.
type frontEnd struct {
	API     string `json:"api"`
	Back    string `json:"back"`
	Mailbox string `json:"mailbox"`
	Mode    string `json:"mode"`
	Scheme  string `json:"scheme"`
	Slash   string `json:"slash"`
	Ann     string `json:"ann"`
}

// call is a script's text, and the call of its function for a new account.
func (f *frontEnds) call(t *testing.T, script string, c frontEnd) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "frontends", script))
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\nlife(" + f.config(t, c) + ")"
}

// config is the config of a script for a new account.
func (f *frontEnds) config(t *testing.T, c frontEnd) string {
	t.Helper()
	f.names++
	c.API, c.Back, c.Mailbox, c.Ann = "http://"+f.Addr+"/auth/", "http://"+f.Addr+"/api/x", f.mailbox, fmt.Sprintf("ann%d@example.com", f.names)
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(config)
}

// inNode runs a script in Node.
func inNode(t *testing.T, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "-")
	node.Stdin = strings.NewReader(script)
	node.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(os.Getenv(npmVariable), "node_modules"))
	if out, err := node.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

var frontEndStyles = []frontEnd{
	{Mode: "token", Scheme: "Token", Slash: "/"},
	{Mode: "jwt", Scheme: "JWT", Slash: "/"},
	{Mode: "token", Scheme: "Token"},
	{Mode: "jwt", Scheme: "Bearer"},
}

func TestFrontEndsInNode(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node isn't installed: apt-get install nodejs")
	}
	f := runFrontEnds(t)
	for _, script := range []string{"fetch.js", "axios.js"} {
		for _, style := range frontEndStyles {
			t.Run(strings.Join([]string{script, style.Mode, style.Scheme, style.Slash}, " "), func(t *testing.T) {
				if script == "axios.js" && os.Getenv(npmVariable) == "" {
					t.Skip("axios isn't there: npm install --prefix DIR axios, and set " + npmVariable + " to DIR")
				}
				inNode(t, f.call(t, script, style))
			})
		}
	}
}

func TestFrontEndsInABrowserOnAnotherOrigin(t *testing.T) {
	b := browser.Start(t)
	f := runFrontEnds(t)
	_, port, _ := net.SplitHostPort(f.Addr)
	for script, style := range map[string]frontEnd{"fetch.js": frontEndStyles[0], "axios.js": frontEndStyles[1]} {
		t.Run(script, func(t *testing.T) {
			tab := b.New(t, browser.Options{})
			tab.Go("http://" + frontEndName + ":" + port + "/")
			tab.Want("the front end")
			run := f.call(t, script, style)
			if script == "axios.js" {
				axios, err := os.ReadFile(filepath.Join(os.Getenv(npmVariable), "node_modules", "axios", "dist", "axios.min.js"))
				if err != nil {
					t.Skip("axios isn't there: npm install --prefix DIR axios, and set " + npmVariable + " to DIR")
				}
				run = string(axios) + "\n" + run
			}
			if fault := browser.Evaluate[string](tab, run+`.then(() => "", error => error.stack)`); fault != "" {
				t.Error(fault)
			}
		})
	}
}

// TestAppsSendForms: Dart's http and Kotlin's clients send maps as forms or multipart, with
// other spellings of the same headers.
func TestAppsSendForms(t *testing.T) {
	f := runFrontEnds(t)
	for name, encode := range map[string]func(fields url.Values) (contentType, body string){
		"a form, as Dart's http sends it": func(fields url.Values) (string, string) {
			return "application/x-www-form-urlencoded; charset=utf-8", fields.Encode()
		},
		"multipart, as Ktor and Retrofit send it": func(fields url.Values) (string, string) {
			var body bytes.Buffer
			w := multipart.NewWriter(&body)
			for name := range fields {
				if err := w.WriteField(name, fields.Get(name)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return w.FormDataContentType(), body.String()
		},
		"JSON with a charset, as Dio sends it": func(fields url.Values) (string, string) {
			members := make(map[string]string)
			for name := range fields {
				members[name] = fields.Get(name)
			}
			body, err := json.Marshal(members)
			if err != nil {
				t.Fatal(err)
			}
			return "application/json; charset=UTF-8", string(body)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.names++
			appLife(t, f, fmt.Sprintf("app%d@example.com", f.names), encode)
		})
	}
}

// appLife is the life of an account in an app.
func appLife(t *testing.T, f *frontEnds, ann string, encode func(url.Values) (contentType, body string)) {
	token := ""
	send := func(status int, method, path string, fields ...string) testsite.Answer {
		t.Helper()
		values := make(url.Values)
		for i := 0; i < len(fields); i += 2 {
			values.Set(fields[i], fields[i+1])
		}
		contentType, body := encode(values)
		header := []string{"Content-Type", contentType, "Accept", "*/*"}
		if token != "" {
			header = append(header, "Authorization", "Token "+token)
		}
		a := f.Do(method, "/auth/"+path, body, header...)
		a.Want(t, status)
		return a
	}
	link := func(page string) (uid, token string) {
		t.Helper()
		resp, err := http.Get(f.mailbox + "?" + url.Values{"to": {ann}, "page": {page}}.Encode())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(text.String(), "/")
		return parts[len(parts)-2], parts[len(parts)-1]
	}

	const first, second = "first-Long-pw-1", "second-Long-pw-2"
	send(http.StatusCreated, "POST", "users/", "email", ann, "first_name", "Änn", "password", first, "re_password", first)
	uid, mailed := link("activate")
	send(http.StatusNoContent, "POST", "users/activation/", "uid", uid, "token", mailed)
	token = send(http.StatusOK, "POST", "token/login/", "email", ann, "password", first).Token(t)
	send(http.StatusOK, "PATCH", "users/me/", "phone", "123")
	if me := f.Get("/auth/users/me/", token); !strings.Contains(me.Body, `"phone": "123"`) && !strings.Contains(me.Body, `"phone":"123"`) || !strings.Contains(me.Body, "Änn") {
		t.Errorf("me: %s", me.Body)
	}
	send(http.StatusNoContent, "POST", "users/set_password/", "current_password", first, "new_password", second, "re_new_password", second)
	send(http.StatusNoContent, "POST", "token/logout/")
	token = ""
	send(http.StatusNoContent, "POST", "users/reset_password/", "email", ann)
	uid, mailed = link("password/reset")
	send(http.StatusNoContent, "POST", "users/reset_password_confirm/", "uid", uid, "token", mailed, "new_password", first, "re_new_password", first)
	token = send(http.StatusOK, "POST", "token/login/", "email", ann, "password", first).Token(t)
	send(http.StatusNoContent, "DELETE", "users/me/", "current_password", first)
}
