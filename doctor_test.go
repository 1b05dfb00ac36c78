package djoser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// The doctor sees each fault of a configuration and of its store, and a mail goes out.
func TestTheDoctorFindsWhatGoesWrongLater(t *testing.T) {
	mails := testsite.StartSMTP(t, "none", nil)
	p := testsite.NewProcess(t, "")
	write := func(domain, gate, mailer string) {
		p.WriteFile("Caddyfile", strings.NewReplacer("admin off", "admin "+p.Admin, "level ERROR", "level INFO").Replace(testsite.Options)+`
http://wiki.example.com`+p.Addr[strings.Index(p.Addr, ":"):]+` {
	djoser /auth/* {
		domain `+domain+`
		site_name Wiki
		`+mailer+`
		store badger {$DIR}/store
	}
	djoser_pages /account/*
	handle /api/* {
		djoser_auth
		reverse_proxy 127.0.0.1:8000
	}
	`+gate+`
	handle /admin/* {
		reverse_proxy 127.0.0.1:8000
	}
	reverse_proxy 127.0.0.1:9000
}
`)
	}
	smtp := "mailer smtp " + mails.Addr + " {\ntls none\n}\n"
	write("www.example.com", "", smtp)
	p.Run("", "djoser", "doctor", "--send-to", "alice@example.com").Want(t, 4,
		"warning  realm default: links in mails lead to www.example.com, which is none of the names of the realm's sites (wiki.example.com): set domain",
		"mails come from webmaster@localhost",
		"anybody may sign up, with any address",
		"mailer smtp took the mail to alice@example.com",
		"doesn't exist yet",
		"warning  the back end 127.0.0.1:8000 is behind a gate at wiki.example.com /api/*, but open at wiki.example.com /admin/*: put djoser_auth there too.",
		"no admin API answers at "+p.Admin)
	if got := mails.Received(); len(got) != 1 || got[0].Parse(t).Header.Get("Subject") != "A trial of Wiki" {
		t.Errorf("the mails are %v", got)
	}

	store := filepath.Join(p.Dir, "store")
	if err := os.MkdirAll(filepath.Join(p.Dir, "elsewhere"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(store, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(store, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
	p.WriteFile("store/later", "x")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(store, "later"), later, later); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../elsewhere", filepath.Join(store, "journal")); err != nil {
		t.Fatal(err)
	}
	write("wiki.example.com", "djoser_auth /admin/*", "from_email a@example.com\nmailer smtp 127.0.0.1:1 {\ntls none\n}\n")
	bad := p.Run("", "djoser", "doctor", "--send-to", "alice@example.com")
	bad.Want(t, 4, "was not sent: ", "connection refused", "chmod 700 "+store, "which is in the future", "journal is a link", "which is a name of its site")
	if strings.Contains(bad.Out, "open at") {
		t.Errorf("a gate on the same path was overlooked: %s", bad.Out)
	}

	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	p.Start()
	p.Run("", "djoser", "doctor").Want(t, 0, "ok       realm default: the store "+store+" takes ", "the admin API answers at "+p.Admin, "no mail was tried",
		"note     realm default: links in mails lead to wiki.example.com, but the site is on port "+portOf(p.Addr)+": write the port into domain")
	p.WriteFile("Ungated", "http://:8080 {\ndjoser /auth/* {\nrealm default\ndisable password_reset\nstore badger {$DIR}/open\n}\nreverse_proxy 127.0.0.1:9000\n}\n")
	p.Run("", "djoser", "doctor", "--config", "Ungated", "--adapter", "caddyfile").Want(t, 0, "note     no route has djoser_auth")
	p.Run("", "djoser", "doctor", "--config", "none").Want(t, 1, "none")
	p.Run("", "djoser", "doctor", "--json").Want(t, 0, `[{"kind":"ok","realm":"default","text":"links in mails lead to wiki.example.com`)
}

// A socket has no port that links could lack, and others on the network don't reach it.
func TestTheDoctorKnowsUnixSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "djoser") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := testsite.NewProcess(t, "")
	admin := "unix/" + dir + "/admin:1"
	p.WriteFile("Caddyfile", strings.NewReplacer("admin off", "admin "+admin, "level ERROR", "level INFO").Replace(testsite.Options)+`
http://wiki.example.com {
	bind unix/`+dir+`/site:8080
	djoser /auth/* {`+strings.Replace(testsite.Settings, "frontend.com", "wiki.example.com", 1)+`
	}
	djoser_auth /api/*
}
`)
	p.Start()
	found := p.Run("", "djoser", "doctor")
	found.Want(t, 0, "links in mails lead to wiki.example.com, which is a name of its site", "the admin API answers at "+admin)
	for _, wrong := range []string{"on port", "others may reach it"} {
		if strings.Contains(found.Out, wrong) {
			t.Errorf("the doctor says %q: %s", wrong, found.Out)
		}
	}
}
