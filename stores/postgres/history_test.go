package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/history"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
)

// What docs/scaling.md says of how late the end of a token is known at other servers.
const (
	usuallyLate = 2 * time.Second
	mostlyLate  = 5 * time.Second
)

// killBackends ends all connections of a server.
func (s *server) killBackends(t testing.TB) {
	t.Helper()
	s.exec(t, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'")
}

func TestServersAreLinearizable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	server, schema := sharedServer(t), newSchema()
	mails := testsite.StartSMTP(t, "none", nil)
	var (
		servers []*testsite.Process
		nodes   []history.Node
	)
	for range 3 {
		p := startSite(t, "postgres "+server.url()+" {\nschema "+schema+"\n}", "logout_on_password_change\n", mails)
		servers, nodes = append(servers, p), append(nodes, history.Site{Process: p})
	}
	for range history.Rounds() {
		h := history.New()
		history.Run(t, h, nodes, mostlyLate, func(operations func(int)) {
			// Without faults, after which servers forget what they know, for longer than they may
			// be late.
			for quiet := time.Now().Add(2 * mostlyLate); time.Now().Before(quiet); {
				operations(50)
			}
			for _, p := range servers {
				operations(100)
				server.killBackends(t)
				operations(100)
				p.Kill()
				operations(100)
				p.Start()
			}
			operations(200)
		})
		h.Check(t, usuallyLate, mostlyLate)
	}
}

func TestStoresAreLinearizable(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	server := sharedServer(t)
	p := Store{URL: server.url(), Schema: newSchema(), Timeout: longTimeout}
	var nodes []history.Node
	for range 3 {
		nodes = append(nodes, storeNode{openStore(t, p)})
	}
	for range history.Rounds() {
		h := history.New()
		history.Run(t, h, nodes, 0, func(operations func(int)) {
			for range 4 {
				operations(200)
				server.killBackends(t)
			}
			operations(200)
		})
		h.Check(t, 0, 0)
	}
}

// storeNode does what a server does, without a cache.
type storeNode struct{ s *database }

func (n storeNode) account(user string) (*model.Account, error) {
	return n.s.AccountByKey(context.Background(), model.Key{Field: "username", Value: user})
}

func (n storeNode) commit(c *model.Change) error { return n.s.Commit(context.Background(), c) }

func (n storeNode) Register(user, password string) bool {
	return n.commit(&model.Change{Account: &model.Account{
		Username: user, Password: password, IsActive: true, Keys: []model.Key{{Field: "username", Value: user}},
	}}) == nil
}

func (n storeNode) LogIn(user, password string) (string, history.Outcome) {
	for {
		a, err := n.account(user)
		switch {
		case err != nil:
			return "", history.Lost
		case !a.IsActive || a.Password != password:
			return "", history.Refused
		}
		token := model.NewToken()
		digest, _ := model.DigestOf(token)
		err = n.commit(&model.Change{Token: &model.Token{Digest: digest, Account: a.ID, Created: time.Now()}, Serial: a.Serial})
		switch {
		case err == nil:
			return token, history.Done
		case !errors.Is(err, model.ErrConflict):
			return "", history.Lost
		}
	}
}

func (n storeNode) LogOut(token string) history.Outcome {
	digest, _ := model.DigestOf(token)
	return outcome(n.commit(&model.Change{EndToken: &digest}))
}

func outcome(err error) history.Outcome {
	switch {
	case err == nil:
		return history.Done
	case errors.Is(err, model.ErrNotFound):
		return history.Barred
	}
	return history.Lost
}

func (n storeNode) SetPassword(_, token, from, to string) history.Outcome {
	digest, _ := model.DigestOf(token)
	for {
		_, a, err := n.s.Token(context.Background(), digest)
		switch {
		case err != nil:
			return outcome(err)
		case !a.IsActive || a.Password != from:
			return history.Refused
		}
		a.Password = to
		a.Serial++
		err = n.commit(&model.Change{Account: a, EndTokens: true, Keep: digest})
		if !errors.Is(err, model.ErrConflict) {
			return outcome(err)
		}
	}
}

func (n storeNode) SetActive(user string, active bool) history.Outcome {
	for {
		a, err := n.account(user)
		if err != nil {
			return history.Lost
		}
		a.IsActive = active
		a.Serial++
		err = n.commit(&model.Change{Account: a, EndTokens: !active})
		if !errors.Is(err, model.ErrConflict) {
			return outcome(err)
		}
	}
}

func (n storeNode) Pass(token string) history.Outcome {
	digest, _ := model.DigestOf(token)
	_, a, err := n.s.Token(context.Background(), digest)
	if err == nil && !a.IsActive {
		return history.Barred
	}
	return outcome(err)
}
