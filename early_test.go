package djoser

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"time"

	"github.com/caddy-djoser/djoser/drf"
	"github.com/caddy-djoser/djoser/internal/testsite"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// ticketCache reports when the server sent a ticket, which early data needs.
type ticketCache struct {
	tls.ClientSessionCache
	got chan struct{}
}

func (c ticketCache) Put(key string, state *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, state)
	select {
	case c.got <- struct{}{}:
	default:
	}
}

// deafConn never hears the server, so that no handshake completes: to the server it looks
// like a replay of early data.
type deafConn struct {
	net.PacketConn
	closed chan struct{}
}

func (c deafConn) ReadFrom([]byte) (int, net.Addr, error) {
	<-c.closed
	return 0, nil, net.ErrClosed
}

func (c deafConn) Close() error {
	close(c.closed)
	return c.PacketConn.Close()
}

// earlyClient sends requests over HTTP/3 in early data, each on a new connection.
type earlyClient struct {
	t      *testing.T
	s      *server
	config *tls.Config
}

// newEarlyClient gets a ticket.
func newEarlyClient(t *testing.T, s *server) *earlyClient {
	t.Helper()
	got := make(chan struct{}, 1)
	c := &earlyClient{t, s, &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}, ServerName: "127.0.0.1",
		ClientSessionCache: ticketCache{tls.NewLRUClientSessionCache(1), got},
	}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := quic.DialAddr(ctx, s.Addr, c.config, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-got
	_ = conn.CloseWithError(0, "")
	return c
}

// send sends a request in early data, and nothing after it.
func (c *earlyClient) send(method, path, token string) {
	c.t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	deaf := deafConn{udp, make(chan struct{})}
	transport := &quic.Transport{Conn: deaf}
	c.t.Cleanup(func() {
		deaf.Close()
		transport.Close()
	})
	to, err := net.ResolveUDPAddr("udp", c.s.Addr)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx := c.t.Context()
	conn, err := transport.DialEarly(ctx, to, c.config, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	stream, err := new(http3.Transport).NewClientConn(conn).OpenRequestStream(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+c.s.Addr+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	if err := stream.SendRequestHeader(req); err != nil {
		c.t.Fatal(err)
	}
	stream.Close()
}

// statusLogged waits for the status of a request in the log, since the client doesn't
// get it.
func (s *server) statusLogged(method, uri string) (status int) {
	s.T.Helper()
	testsite.Eventually(s.T, method+" "+uri+" in the log", func() bool {
		f, err := os.Open(filepath.Join(s.Dir, "access.log"))
		if err != nil {
			return false
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var line struct {
				Request struct{ Method, URI string }
				Status  int
			}
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Request.Method == method && line.Request.URI == uri {
				status = line.Status
				return true
			}
		}
		return false
	})
	return status
}

func TestEarlyDataIsForRequestsThatChangeNothing(t *testing.T) {
	s := secureServer(t, "log {\noutput file {$DIR}/access.log\n}\n"+realmAnd(`
		djoser_auth /api/*
		djoser_auth /early/* {
			early_data
		}
		respond 204`))
	token := s.loginOver(protocolClients(t)["HTTP/3.0"], "ann")
	client := newEarlyClient(t, s)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/api/x", 204}, {"HEAD", "/api/x", 204}, {"OPTIONS", "/api/x", 204}, {"GET", "/auth/me", 200}, {"OPTIONS", "/auth/login", 200},
		{"POST", "/api/x", 425}, {"PUT", "/api/x", 425}, {"PATCH", "/api/x", 425}, {"DELETE", "/api/x", 425}, {"PROPFIND", "/api/x", 425},
		{"POST", "/auth/login?x", 425}, {"POST", "/auth/logout", 425}, {"PATCH", "/auth/me", 425}, {"patch", "/auth/me", 425}, {"DELETE", "/auth/tokens/x", 425},
		{"POST", "/early/x", 204}, {"POST", "/beside", 204},
	} {
		client.send(c.method, c.path, token)
		if got := s.statusLogged(c.method, c.path); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, got, c.want)
		}
	}
}

func TestEarlyDataOfATrustedProxy(t *testing.T) {
	for options, want := range map[string]int{"trusted_proxies static 127.0.0.1": 425, "": 400} {
		s := newServer(t)
		options := strings.Replace(testsite.Options, "{\n", "{\nservers {\n"+options+"\n}\n", 1)
		if err := s.LoadWith(options, realmAnd("djoser_auth /api/*\nrespond 204")); err != nil {
			t.Fatal(err)
		}
		login := func(header ...string) answer {
			return s.Do("POST", "/auth/login", `{"username": "ann", "password": "pw"}`, append(header, "Content-Type", drf.MediaJSON)...)
		}
		login("Early-Data", "1").Want(t, want)
		login("Early-Data", "?").Want(t, want)
		login().Want(t, 400)
		s.Do("OPTIONS", "/auth/login", "", "Early-Data", "1").Want(t, 200)
		if want == 425 {
			s.Do("POST", "/api/x", "", "Early-Data", "1").Want(t, 425, `{"detail": "Too early: this may be a replay. Send the request again."}`)
		}
	}
}

func attackEarlyData(t *testing.T) {
	s := secureServer(t, "log {\noutput file {$DIR}/access.log\n}\n"+realmAnd("djoser_auth /api/*\nrespond 204"))
	token := s.loginOver(protocolClients(t)["HTTP/3.0"], "ann")
	client := newEarlyClient(t, s)
	for _, path := range []string{"/auth/logout", "/api/x"} {
		client.send("POST", path, token)
		if got := s.statusLogged("POST", path); got != 425 {
			t.Errorf("%s: %d", path, got)
		}
	}
	if resp := s.roundTrip(protocolClients(t)["HTTP/3.0"], "GET", "https://"+s.Addr+"/auth/me", token, nil); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}
