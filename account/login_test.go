package account

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/password"
	"github.com/caddy-djoser/djoser/throttle"
)

func TestPaceForgetsABusyMoment(t *testing.T) {
	p := new(pace)
	if p.rest(0) != 0 {
		t.Error("a wait where no hash takes longer")
	}
	p.took(time.Hour)
	if got := p.rest(0); got != maxPace*5/4 {
		t.Errorf("%v", got)
	}
	for range 100 {
		p.took(400 * time.Millisecond)
	}
	if got := p.rest(100 * time.Millisecond); got != 400*time.Millisecond {
		t.Errorf("%v", got)
	}
	if p.rest(time.Second) != 0 {
		t.Error("who took longer waits")
	}
}

// djangoStore has one account, old, with a hash from Django, and one, new, with a hash
// of ours.
type djangoStore struct {
	model.Store
	hashes map[string]string
}

func (s djangoStore) AccountByKey(_ context.Context, key model.Key) (*model.Account, error) {
	hash, ok := s.hashes[key.Value]
	if !ok {
		return nil, model.ErrNotFound
	}
	return &model.Account{ID: 1, Password: hash, IsActive: true}, nil
}

type plainReporter struct{ Reporter }

func (plainReporter) Report(Event) {}

func (plainReporter) Hash(ctx context.Context, pool *password.Pool, who password.Caller, work func()) error {
	return pool.Do(ctx, who, work)
}

// Hashes from Django take longer than those of unknown names, and must not show which
// accounts came from there.
func TestAWrongPasswordTakesAsLongForEveryName(t *testing.T) {
	m, err := (*model.UserModel)(nil).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	hasher := password.Argon2id{Memory: 8, Iterations: 1, Parallelism: 1}
	ours, err := hasher.Hash("pw")
	if err != nil {
		t.Fatal(err)
	}
	a := &Service{
		Store: djangoStore{hashes: map[string]string{
			"new": ours,
			"old": "pbkdf2_sha256$100000$salt$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
		}},
		Model: m, Hasher: hasher, Pool: password.NewPool(1, 100), Reporter: plainReporter{},
		Throttles: NewThrottles(time.Now, nil), Rates: &throttle.Settings{Off: true},
	}
	refused := func(name string) time.Duration {
		begin := time.Now()
		err := a.Do(t.Context(), Event{Action: "login"}, func(r *Request) error {
			_, _, err := r.Login(t.Context(), m.Username, name, "wrong")
			return err
		})
		if !errors.Is(err, ErrCredentials) {
			t.Errorf("%s: %v", name, err)
		}
		return time.Since(begin)
	}
	p := a.Throttles.pace
	refused("new")
	refused("nobody")
	if p.slowest != 0 {
		t.Fatal("a hash of ours counts as one from Django")
	}
	refused("old")
	slowest := p.slowest
	if slowest == 0 {
		t.Fatal("the time of a hash from Django was not recorded")
	}
	for _, name := range []string{"old", "new", "nobody"} {
		if took := refused(name); took < slowest {
			t.Errorf("%s is refused after %v, a hash from Django takes %v", name, took, slowest)
		}
	}
}
