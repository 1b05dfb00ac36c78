package djoser

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// newRegistering starts a server with pages, mails and lines of settings.
func newRegistering(t *testing.T, lines string) *installation {
	t.Helper()
	site := "djoser_auth /editors/* {\ngroup editors\n}\nrespond /editors/* \"hello {http.auth.user.username}\"\n"
	withoutURLs := strings.NewReplacer("password_reset_confirm_url", "#", "activation_url", "#").Replace(required)
	in := &installation{newProcess(t, site+withPages(withoutURLs+lines, ""))}
	in.Start()
	return in
}

// mailTo waits for the mails to an address and returns the last, the n-th.
func (in *installation) mailTo(address string, n int) testsite.Mail {
	in.T.Helper()
	var mails []testsite.Mail
	testsite.Eventually(in.T, fmt.Sprintf("mail %d to %s", n, address), func() bool {
		mails = in.mailsTo(address)
		return len(mails) >= n
	})
	if len(mails) != n {
		in.T.Fatalf("%d mails to %s, want %d", len(mails), address, n)
	}
	return mails[n-1]
}

func (in *installation) mailsTo(address string) (mails []testsite.Mail) {
	in.T.Helper()
	files, _ := filepath.Glob(filepath.Join(in.Dir, "mails", "*.eml"))
	slices.Sort(files)
	for _, f := range files {
		if m := testsite.ReadMail(in.T.(*testing.T), f); m.To == address {
			mails = append(mails, m)
		}
	}
	return mails
}

func TestTheInvitedRegisterOnceByTheirLink(t *testing.T) {
	in := newRegistering(t, "registration invite\nsend_activation_email\nlogin_after_registration")
	b := newBrowser(in.Site)
	wantPage(t, b.visit("/account/register"), 403, "<h1>By invitation only</h1>")
	wantPage(t, b.submit("/account/register", "username", "eve", "email", "eve@example.com", "password", "pw"), 403, "<h1>By invitation only</h1>")
	if a := b.visit("/account/login"); strings.Contains(a.Body, "/account/register") {
		t.Error("the log-in page leads to a form that nobody can use")
	}
	in.Post("/auth/register", "", "username", "eve", "email", "eve@example.com", "password", "pw").
		Want(t, 403, `{"detail": "Registration needs a valid invitation."}`)

	if out := in.ok("invite", "ann@example.com", "--group", "editors"); !strings.Contains(out, "outbox") {
		t.Errorf("invite says %q", out)
	}
	link, ok := strings.CutPrefix(in.mailTo("ann@example.com", 1).Link, "https://frontend.com")
	if !ok || !strings.HasPrefix(link, "/account/register?invitation=") {
		t.Fatalf("the link is %s", link)
	}
	for range 2 { // uses nothing up
		wantPage(t, b.visit(link), 200, `name="invitation" value="`)
	}
	_, code, _ := strings.Cut(link, "invitation=")
	wantPage(t, b.submit("/account/register", "username", "eve", "email", "eve@example.com", "password", "pw", "invitation", code),
		403, "This invitation is for another address", `value="eve"`, code)
	wantPage(t, b.submit("/account/register", "username", "ann", "email", "Ann@example.com", "password", "pw", "invitation", code), 200, "home")
	wantPage(t, b.visit("/editors/"), 200, "hello ann")
	if m := in.mailsTo("ann@example.com"); len(m) != 1 {
		t.Errorf("a confirmed address gets %d mails", len(m))
	}
	wantPage(t, b.submit("/account/register", "username", "ann2", "email", "ann@example.com", "password", "pw", "invitation", code), 403, "was used")
	in.Post("/auth/register", "", "username", "ann2", "email", "ann@example.com", "password", "pw", "invitation", code).Want(t, 403)
}

func TestARevokedOrReplacedInvitationIsNoneAnyMore(t *testing.T) {
	in := newRegistering(t, "registration invite")
	invite := func(args ...string) (code string) {
		t.Helper()
		_, code, _ = strings.Cut(in.ok(append([]string{"invite", "bob@example.com"}, args...)...), "invitation=")
		return strings.TrimSpace(code)
	}
	register := func(code string) testsite.Answer {
		return in.Post("/auth/register", "", "username", "bob", "password", "pw", "invitation", code)
	}
	first := invite("--print")
	second := invite("--print", "--group", "editors")
	register(first).Want(t, 403)
	if out := in.ok("user", "list", "--invited"); !strings.Contains(out, "bob@example.com") || strings.Contains(out, second) {
		t.Errorf("the invitations are %s", out)
	}
	invite("--revoke")
	register(second).Want(t, 403)
	in.djoser("", "invite", "bob@example.com", "--revoke").Want(t, 1, "there is no invitation for bob@example.com")
	third := invite("--print")
	wantPage(t, register(third), 201, `"email": "bob@example.com"`)
	if out := in.ok("user", "show", "bob"); strings.Contains(out, "editors") {
		t.Errorf("a group of a revoked invitation: %s", out)
	}
	if m := in.mailsTo("bob@example.com"); len(m) != 0 {
		t.Errorf("printed links are mailed: %v", m)
	}
}

func TestAWaitingAccountIsLetInByAnAdministrator(t *testing.T) {
	in := newRegistering(t, "registration approve admin@example.com\nsend_activation_email")
	api := in.AdminAPI()
	b := newBrowser(in.Site)
	wantPage(t, b.submit("/account/register", "username", "ann", "email", "ann@example.com", "password", "pw"), 200, "<h1>Look into your mail</h1>")
	link := in.mailTo("ann@example.com", 1).Link
	if m := in.mailsTo("admin@example.com"); len(m) != 0 {
		t.Fatalf("administrators are told of an address that isn't confirmed: %v", m)
	}
	wantPage(t, b.submit(strings.TrimPrefix(link, "http://frontend.com")), 200, "waits for approval")
	told := in.mailTo("admin@example.com", 1)
	if !strings.Contains(told.Text, "ann@example.com") || !strings.Contains(told.Text, "caddy djoser user approve id:1") {
		t.Errorf("administrators are told: %s", told.Text)
	}
	wantPage(t, b.submit("/account/login", "username", "ann", "password", "pw"), 400)
	wantPage(t, api.Get("/djoser/default/users?waiting=true", ""), 200, `"waiting": true`)

	wantPage(t, api.Do(http.MethodPost, "/djoser/default/users/id:1/approve", ""), 200, `"is_active": true`)
	in.mailTo("ann@example.com", 2)
	wantPage(t, b.submit("/account/login", "username", "ann", "password", "pw", "next", "/account/profile"), 200, "<h1>Your profile</h1>")
	wantPage(t, api.Do(http.MethodPost, "/djoser/default/users/id:1/approve", ""), 409, "doesn't wait")
	wantPage(t, api.Do(http.MethodPost, "/djoser/default/users/id:1/reject", ""), 409, "doesn't wait")
}

func TestARejectedAccountIsDeletedAndItsOwnerTold(t *testing.T) {
	in := newRegistering(t, "registration approve")
	b := newBrowser(in.Site)
	wantPage(t, b.submit("/account/register", "username", "eve", "email", "eve@example.com", "password", "pw"), 200, "waits for approval")
	in.ok("user", "reject", "eve")
	in.mailTo("eve@example.com", 1)
	in.djoser("", "user", "show", "eve").Want(t, 3, "no such user: eve")
	in.ok("invite", "bob@example.com", "--group", "editors")
	link := in.mailTo("bob@example.com", 1).Link
	_, code, _ := strings.Cut(link, "invitation=")
	wantPage(t, b.submit("/account/register", "username", "bob", "email", "bob@example.com", "password", "pw", "invitation", code), 200, "Log in")
	wantPage(t, b.submit("/account/login", "username", "bob", "password", "pw", "next", "/editors/"), 200, "hello bob")
}

func TestNobodyRegistersWhereRegistrationIsClosed(t *testing.T) {
	in := newRegistering(t, "registration closed")
	b := newBrowser(in.Site)
	wantPage(t, b.visit("/account/register"), 403, "<h1>Registration is closed</h1>")
	wantPage(t, b.submit("/account/register", "username", "ann", "email", "ann@example.com", "password", "pw"), 403, "<h1>Registration is closed</h1>")
	if a := b.visit("/account/login"); strings.Contains(a.Body, "/account/register") {
		t.Error("the log-in page leads to a form that nobody can use")
	}
	in.Post("/auth/register", "", "username", "ann").Want(t, 403, `{"detail": "Registration is closed."}`)
	in.djoser("", "invite", "ann@example.com").Want(t, 1, "registration is closed in this realm")
	in.djoser("pw\n", "user", "add", "ann", "--email", "ann@example.com").Want(t, 0)
	wantPage(t, b.submit("/account/login", "username", "ann", "password", "pw", "next", "/account/profile"), 200, "<h1>Your profile</h1>")
}
