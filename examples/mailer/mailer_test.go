package mailer

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddy-djoser/djoser"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestWebhook(t *testing.T) {
	status := http.StatusOK
	var got map[string]string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") != "1@frontend.com" {
			t.Errorf("header %v", r.Header)
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
	}))
	defer service.Close()

	d := caddyfile.NewTestDispenser("webhook " + service.URL)
	d.Next()
	module, err := caddyfile.UnmarshalModule(d, "djoser.mailers.webhook")
	if err != nil {
		t.Fatal(err)
	}
	m := &djoser.Message{ID: "1@frontend.com", To: "someone@example.com", Subject: "Hello", Text: "Open the link"}
	send := module.(djoser.Mailer).Send
	if err := send(t.Context(), m); err != nil || got["to"] != m.To || got["subject"] != m.Subject || got["text"] != m.Text {
		t.Errorf("got %v, %v", got, err)
	}
	status = http.StatusUnprocessableEntity
	if err := send(t.Context(), m); !errors.Is(err, djoser.ErrUndeliverable) {
		t.Errorf("got %v", err)
	}
	status = http.StatusServiceUnavailable
	if err := send(t.Context(), m); err == nil || errors.Is(err, djoser.ErrUndeliverable) {
		t.Errorf("got %v", err)
	}
}
