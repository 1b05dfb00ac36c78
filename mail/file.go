package mail

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// FileMailer writes each mail to a file instead of sending it, for tests or for
// another program that picks the mails up.
//
// The files are RFC 5322 messages with names that end in .eml and sort by time.
// Under that name they are complete. Files and folder are only for the server's
// user, since the links in them work.
type FileMailer struct {
	// Dir is the folder for the files. Required. It is created with the first mail.
	// Placeholders are supported.
	Dir string `json:"dir,omitempty"`

	// Retry is how long a mail that can't be written is retried. Default: 24h
	Retry caddy.Duration `json:"retry,omitempty"`

	// LocalRecipients allows recipients on IP addresses such as x@[127.0.0.1],
	// and on names without a dot such as root@localhost. Default: false
	LocalRecipients bool `json:"local_recipients,omitempty"`

	dir string
}

// CaddyModule returns the Caddy module information.
func (FileMailer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "djoser.mailers.file",
		New: func() caddy.Module { return new(FileMailer) },
	}
}

// UnmarshalCaddyfile sets up the mailer from Caddyfile tokens. Syntax:
//
//	mailer file <dir> {
//		local_recipients [on|off]
//		retry            <duration>
//	}
func (f *FileMailer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // file
	if !d.NextArg() {
		return d.Err("mailer file needs the folder for the mails: mailer file <dir>")
	}
	f.Dir = d.Val()
	if err := directive.NoMoreArgs(d, "mailer file"); err != nil {
		return err
	}
	return directive.OptionalBlock(d, func(name string) error {
		switch name {
		case "local_recipients":
			return directive.SwitchArg(d, &f.LocalRecipients)
		case "retry":
			return directive.DurationArg(d, &f.Retry)
		}
		return directive.Unknown(d, name, "mailer file", "local_recipients", "retry")
	})
}

// Provision sets up the mailer. It doesn't touch the folder, so that a
// configuration can be validated anywhere.
func (f *FileMailer) Provision(caddy.Context) error {
	dir, err := directive.Expand("dir", f.Dir)
	if err != nil {
		return fmt.Errorf("mailer file: %v", err)
	}
	if dir == "" {
		return errors.New("mailer file: dir, the folder for the mails, is missing")
	}
	if f.dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("mailer file: %v", err)
	}
	return nil
}

// Validate checks the settings.
func (f *FileMailer) Validate() error {
	if f.Retry < 0 {
		return errors.New("mailer file: retry is negative")
	}
	return nil
}

// RetryFor implements Retrier.
func (f *FileMailer) RetryFor() time.Duration { return time.Duration(f.Retry) }

// SendsLocally implements LocalMailer.
func (f *FileMailer) SendsLocally() bool { return f.LocalRecipients }

// Send writes the mail to a new file, and returns once it is durable.
func (f *FileMailer) Send(_ context.Context, m *Message) error {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(f.dir, ".mail-*.tmp") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // after an error
	_, err = m.WriteTo(temp)
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), filepath.Join(f.dir, newFileName())); err != nil {
		return err
	}
	// The new name is durable once the folder is synced. Windows can't and
	// needn't do that.
	if d, err := os.Open(f.dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
	return nil
}

// newFileName returns a unique name that sorts by time.
func newFileName() string {
	var random [4]byte
	rand.Read(random[:])
	return time.Now().UTC().Format("20060102T150405.000000000Z") + "-" + hex.EncodeToString(random[:]) + ".eml"
}

// Interface guards
var (
	_ caddy.Provisioner     = (*FileMailer)(nil)
	_ caddy.Validator       = (*FileMailer)(nil)
	_ caddyfile.Unmarshaler = (*FileMailer)(nil)
	_ Mailer                = (*FileMailer)(nil)
	_ Retrier               = (*FileMailer)(nil)
	_ LocalMailer           = (*FileMailer)(nil)
)
