// Package mailer is an example of a custom mailer: it posts each mail as JSON
// to a web service. In a Caddyfile: mailer webhook <url>
package mailer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddy-djoser/djoser"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() { caddy.RegisterModule(Webhook{}) }

// Webhook posts mails to a web service.
type Webhook struct {
	// URL is where the mails are posted.
	URL string `json:"url"`
}

// CaddyModule returns the Caddy module information.
func (Webhook) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser.mailers.webhook", New: func() caddy.Module { return new(Webhook) }}
}

// UnmarshalCaddyfile sets up the mailer from Caddyfile tokens.
func (w *Webhook) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // webhook
	if !d.AllArgs(&w.URL) {
		return d.ArgErr()
	}
	return nil
}

// Send implements djoser.Mailer.
func (w *Webhook) Send(ctx context.Context, m *djoser.Message) error {
	body, err := json.Marshal(map[string]string{"to": m.To, "subject": m.Subject, "text": m.Text, "html": m.HTML})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", m.ID) // the same for every try
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	response.Body.Close()
	switch {
	case response.StatusCode == http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: the service refused the recipient", djoser.ErrUndeliverable)
	case response.StatusCode/100 != 2:
		return fmt.Errorf("the service answered %s", response.Status)
	}
	return nil
}

var _ djoser.Mailer = (*Webhook)(nil)
