package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/internal/history"
	"github.com/caddy-djoser/djoser/internal/testsite"
	"github.com/caddy-djoser/djoser/model"
	"github.com/jackc/pgx/v5"
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

// holdRows locks the accounts and tokens of a schema, some at a time, until it is stopped. A
// change that waits for one is committed after others that began later.
func (s *server) holdRows(schema string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	hold := func(part int) error {
		conn, err := pgx.Connect(ctx, s.url())
		if err != nil {
			return err
		}
		defer conn.Close(context.Background())
		_, err = conn.Exec(ctx, fmt.Sprintf(`begin; select from %[1]s.accounts where id %% 3 = %[2]d for update;
			select from %[1]s.tokens where account %% 3 = %[2]d for update; select pg_sleep(0.3); commit`, schema, part))
		return err
	}
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			_ = hold(rand.N(3)) // fails while the server is down
			time.Sleep(rand.N(100 * time.Millisecond))
		}
	})
	return func() {
		cancel()
		group.Wait()
	}
}

// Three servers share a database, one of them over a slow network.
func TestServersAreLinearizable(t *testing.T) {
	server, schema := ownServer(t), newSchema()
	network := startProxy(t, server)
	network.jitter.Store(int64(60 * time.Millisecond))
	mails := testsite.StartSMTP(t, "none", nil)
	var (
		servers []*testsite.Process
		nodes   []history.Node
	)
	for _, url := range []string{server.url(), server.url(), network.url} {
		p := startSite(t, "postgres "+url+" {\nschema "+schema+"\n}", "logout_on_password_change\n", mails)
		servers, nodes = append(servers, p), append(nodes, history.Site{Process: p})
	}
	t.Cleanup(server.holdRows(schema))
	t.Cleanup(func() {
		for n, p := range servers {
			if log := p.Log(); t.Failed() {
				t.Logf("the end of the log of server %d: %s", n, log[max(0, len(log)-4000):])
			}
		}
	})
	for range history.Rounds() {
		h := history.New()
		history.Run(t, h, nodes, mostlyLate, func(operations func(int)) {
			servers[0].Run("", "reload", "--force").Want(t, 0)
			for _, p := range servers {
				operations(200)
				server.killBackends(t)
				operations(200)
				p.Kill()
				operations(200)
				p.Start()
			}
			network.hang.Lock()
			testsite.Eventually(t, "a server notices that its network hangs", func() bool { return !healthy(servers[2]) })
			operations(200)
			network.hang.Unlock()
			operations(200)
			server.destroy()
			must(t, server.start())
			time.Sleep(mostlyLate + usuallyLate) // so that the changes before are watched to the end
		})
		h.Check(t, mostlyLate, mostlyLate)

		quiet := history.New() // servers forget what they know after a fault
		history.Run(t, quiet, nodes, usuallyLate, func(func(int)) { time.Sleep(4 * usuallyLate) })
		quiet.Check(t, usuallyLate, mostlyLate)
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
