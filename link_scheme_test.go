package djoser

import (
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/internal/testsite"
)

// attackPlainLink requests a link for somebody over plain HTTP. If the site also has TLS,
// the link must not be sent over HTTP.
func attackPlainLink(t *testing.T) {
	s := newServer(t)
	writeCertificate(t, s.Dir)
	withTLS := "https://" + testsite.FreeAddress(t) + " {\ntls {$DIR}/cert.pem {$DIR}/key.pem\ndjoser /accounts/*\n}\n"
	if err := s.LoadWith(testsite.Options+withTLS, site(required)); err != nil {
		t.Fatal(err)
	}
	s.Register("ann", "pw")
	s.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 200)
	if m := s.waitMails(t, 1)[0]; !strings.HasPrefix(m.Link, "https://frontend.com/") {
		t.Errorf("the link is %s", m.Link)
	}

	if err := s.LoadWith(testsite.Options+withTLS, site("protocol http\n"+required)); err != nil {
		t.Fatal(err)
	}
	s.Post("/auth/password/reset", "", "email", "ann@example.com").Want(t, 200)
	if m := s.waitMails(t, 2)[1]; !strings.HasPrefix(m.Link, "http://frontend.com/") {
		t.Errorf("with protocol http the link is %s", m.Link)
	}
}
