// Package doctor looks in a configuration, and around it, for what an operator would
// otherwise find out on the first bad day. It changes nothing.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Kind is how bad a finding is.
type Kind string

const (
	OK      Kind = "ok"
	Note    Kind = "note"    // worth knowing
	Warning Kind = "warning" // to be mended
)

// Finding is one sentence about a realm or the configuration, with its mend.
type Finding struct {
	Kind  Kind   `json:"kind"`
	Realm string `json:"realm,omitempty"` // empty: the configuration
	Text  string `json:"text"`
}

// Realm is what is looked at of a realm.
type Realm struct {
	Name   string
	Err    error  // the realm can't be set up; nothing else is known then
	Domain string // in the links of mails
	Mailer string // its engine; empty: none
	From   string // the setting from_email; empty: the default
	Store  string // its location, mostly a folder
	Open   bool   // anybody may sign up
	Proves bool   // a new account's address must be confirmed

	// Send sends a mail to try the mailer.
	Send func(ctx context.Context, to string) error
}

// Examine returns what it finds in a configuration in JSON with these realms. With an
// address in sendTo, each realm's mailer sends one mail to it.
func Examine(ctx context.Context, config []byte, realms []*Realm, sendTo string) ([]Finding, error) {
	sites, err := readSites(config)
	if err != nil {
		return nil, err
	}
	d := new(diagnosis)
	for _, r := range realms {
		d.realm = r.Name
		if r.Err != nil {
			d.add(Warning, "the realm can't be set up: %v", r.Err)
			continue
		}
		d.domain(r, sites.hosts[r.Name])
		d.port(r, sites.ports[r.Name])
		d.defaults(r)
		d.mailer(ctx, r, sendTo)
		d.folder(r.Store)
	}
	d.realm = ""
	d.clock(time.Now())
	d.admin(config)
	d.gates(sites)
	return d.findings, nil
}

type diagnosis struct {
	realm    string
	findings []Finding
}

func (d *diagnosis) add(kind Kind, format string, args ...any) {
	d.findings = append(d.findings, Finding{kind, d.realm, fmt.Sprintf(format, args...)})
}

// domain compares the host in links with the names of the sites that serve the realm. Sites
// without a name serve any.
func (d *diagnosis) domain(r *Realm, hosts []string) {
	host, _ := splitDomain(r.Domain)
	switch {
	case host == "" || r.Mailer == "":
	case slices.Contains(hosts, ""):
		d.add(OK, "links in mails lead to %s", r.Domain)
	case slices.ContainsFunc(hosts, func(name string) bool { return covers(name, host) }):
		d.add(OK, "links in mails lead to %s, which is a name of its site", r.Domain)
	default:
		d.add(Warning, "links in mails lead to %s, which is none of the names of the realm's sites (%s): set domain to one of them, unless the front end is there", r.Domain, strings.Join(hosts, ", "))
	}
}

// port compares the port in links with those of the sites that serve the realm. Another server
// may forward to them.
func (d *diagnosis) port(r *Realm, ports []string) {
	_, port := splitDomain(r.Domain)
	wanted := []string{port}
	if port == "" {
		wanted = []string{"80", "443"}
	}
	reached := slices.ContainsFunc(wanted, func(port string) bool { return slices.Contains(ports, port) })
	if r.Domain == "" || r.Mailer == "" || len(ports) == 0 || reached {
		return
	}
	d.add(Note, "links in mails lead to %s, but the site is on port %s: write the port into domain, unless another server forwards to it", r.Domain, ports[0])
}

// splitDomain returns the host and the port, if it has one, of a domain.
func splitDomain(domain string) (host, port string) {
	domain, _, _ = strings.Cut(domain, "/")
	host, port, err := net.SplitHostPort(domain)
	if err != nil {
		return domain, ""
	}
	return host, port
}

// covers reports whether the name of a site, maybe with a *, is that of a host.
func covers(name, host string) bool {
	_, rest, _ := strings.Cut(host, ".")
	return strings.EqualFold(name, host) || strings.EqualFold(name, "*."+rest)
}

// defaults tells of defaults that somebody should have decided about.
func (d *diagnosis) defaults(r *Realm) {
	if r.Open && !r.Proves {
		d.add(Note, "anybody may sign up, with any address: decide with registration (invite, approve, closed) and send_activation_email")
	}
	if r.Mailer == "smtp" && r.From == "" {
		d.add(Warning, "mails come from webmaster@localhost, which many servers refuse: set from_email to an address of your domain")
	}
}

func (d *diagnosis) mailer(ctx context.Context, r *Realm, sendTo string) {
	switch {
	case r.Mailer == "":
		d.add(Note, "there is no mailer, so nobody can reset a password: add one, such as 'mailer smtp <host:port>'")
	case sendTo != "":
		if err := r.Send(ctx, sendTo); err != nil {
			d.add(Warning, "the mail to %s was not sent: %v", sendTo, err)
		} else {
			d.add(OK, "mailer %s took the mail to %s: look whether it arrives", r.Mailer, sendTo)
		}
	case r.Mailer != "smtp":
		d.add(Note, "mailer %s sends no mails to anybody: for people, use mailer smtp", r.Mailer)
	default:
		d.add(Note, "no mail was tried: --send-to ADDRESS sends one")
	}
}

// built is a time before this was written: earlier clocks are wrong.
var built = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (d *diagnosis) clock(now time.Time) {
	if now.Before(built) {
		d.add(Warning, "the clock says %s, so links and log-ins would expire at once when it is set: set it, and keep it with NTP", now.UTC().Format(time.DateTime))
	}
}

func (d *diagnosis) admin(config []byte) {
	var c struct {
		Admin *struct {
			Disabled bool
			Listen   string
		}
	}
	_ = json.Unmarshal(config, &c) // readSites has read it
	switch {
	case c.Admin == nil:
	case c.Admin.Disabled:
		d.add(Warning, "the admin API is off, so commands work only while the server is stopped, and there is no reload: use 'admin unix//run/caddy/admin.sock'")
	case isPublic(c.Admin.Listen):
		d.add(Warning, "the admin API listens at %s, where others may reach it, and whoever does controls the server: use localhost or a Unix socket", c.Admin.Listen)
	}
}

// isPublic reports whether an address of the admin API is on more than this machine.
func isPublic(address string) bool {
	if address == "" || isSocket(address) {
		return false
	}
	_, address, _ = strings.Cut("/"+address, "/")
	address = address[strings.LastIndex(address, "/")+1:]
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// isSocket reports whether an address is a Unix socket, or one that is passed on by a service
// manager. It has no port, though its path may have a colon.
func isSocket(address string) bool {
	return strings.HasPrefix(address, "unix") || strings.HasPrefix(address, "fd")
}

// errNoServers is of a configuration without sites.
var errNoServers = errors.New("the configuration has no HTTP server")
