package account_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/model"
)

// handedOver is a realm with a log-in, and a link for a host.
func handedOver(t *testing.T) (r *realm, login model.Digest, h account.HandOver, link string) {
	t.Helper()
	r = newRealm(t, nil)
	if _, _, err := r.tryRegister(model.Values{"username": "alice", "email": "alice@example.com"}, "secret"); err != nil {
		t.Fatal(err)
	}
	_, token, err := r.login(here, "alice", "secret")
	if err != nil {
		t.Fatal(err)
	}
	login, _ = model.DigestOf(token)
	h = account.HandOver{Host: "wiki.example.com", Nonce: "digest of a nonce"}
	if link, err = r.SignHandOver(t.Context(), login, h); err != nil {
		t.Fatal(err)
	}
	return r, login, h, link
}

func (r *realm) takeHandOver(link string, h account.HandOver) (token string, err error) {
	err = r.do("hand_over", func(req *account.Request) error {
		token, err = req.TakeHandOver(r.t.Context(), link, h)
		return err
	})
	return token, err
}

func TestAHandOverIsAsOldAsItsLogIn(t *testing.T) {
	r, login, h, link := handedOver(t)
	parent, _, err := r.Store.Token(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	r.pass(59 * time.Second)
	token, err := r.takeHandOver(link, h)
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := model.DigestOf(token)
	child, _, err := r.Store.Token(t.Context(), digest)
	if err != nil || !child.Created.Equal(parent.Created) || !child.Expires.Equal(parent.Expires) || child.Parent != login || child.Host != h.Host {
		t.Errorf("%+v of %+v, %v", child, parent, err)
	}
	if _, err := r.SignHandOver(t.Context(), digest, h); !errors.Is(err, model.ErrNotFound) {
		t.Errorf("a token that was handed over is handed over: %v", err)
	}
}

func TestALinkOfAHandOverIsForOneMinuteHostAndBrowser(t *testing.T) {
	for name, test := range map[string]func(r *realm, login model.Digest, h *account.HandOver){
		"after a minute":     func(r *realm, _ model.Digest, _ *account.HandOver) { r.pass(time.Minute) },
		"at another host":    func(_ *realm, _ model.Digest, h *account.HandOver) { h.Host = "wiki.example.com:8443" },
		"in another browser": func(_ *realm, _ model.Digest, h *account.HandOver) { h.Nonce = "digest of another nonce" },
		"without a nonce":    func(_ *realm, _ model.Digest, h *account.HandOver) { h.Nonce = "" },
		"after the log-out": func(r *realm, login model.Digest, _ *account.HandOver) {
			if err := r.Commit(r.t.Context(), &model.Change{EndToken: &login}); err != nil {
				r.t.Fatal(err)
			}
		},
		"after all log-ins were ended": func(r *realm, _ model.Digest, _ *account.HandOver) {
			if _, err := r.RevokeAll(r.t.Context(), 1); err != nil {
				r.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, login, h, link := handedOver(t)
			test(r, login, &h)
			if token, err := r.takeHandOver(link, h); !errors.Is(err, account.ErrLink) || token != "" {
				t.Errorf("%q, %v", token, err)
			}
		})
	}
}
