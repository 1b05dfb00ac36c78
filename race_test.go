package djoser

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-djoser/djoser/model"
)

// clients is how many clients act at once.
const clients = 16

// crowd is a realm whose queue for hashing has room for all clients.
var crowd = strings.Replace(required, "validators off", "validators off\nqueue 1000", 1)

// atOnce runs a function in every client at once, and counts the answers by status.
func atOnce(do func(i int) answer) map[int]int {
	var mu sync.Mutex
	statuses := make(map[int]int)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range clients {
		wg.Go(func() {
			<-start
			a := do(i)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
		})
	}
	close(start)
	wg.Wait()
	return statuses
}

func wantOneWinner(t *testing.T, statuses map[int]int, status int) {
	t.Helper()
	if statuses[status] != 1 || statuses[400] != clients-1 {
		t.Errorf("answers by status: %v, want one %d and %d times 400", statuses, status, clients-1)
	}
}

func TestOneOfManyGetsAName(t *testing.T) {
	s := serve(t, site("login_after_registration\n"+crowd))
	for round := range 3 {
		name := fmt.Sprintf("ann%d", round)
		wantOneWinner(t, atOnce(func(i int) answer {
			return s.Post("/auth/register", "", "username", name, "password", fmt.Sprintf("pw%d", i), "email", fmt.Sprintf("a%d@b.example", i))
		}), 201)

		// The account is the winner's in all fields.
		acc, err := runningRealm(t, "default").accounts.Store.AccountByKey(context.Background(), model.Key{Field: "username", Value: name})
		if err != nil {
			t.Fatal(err)
		}
		var n int
		fmt.Sscanf(acc.Email, "a%d@", &n)
		s.Login(name, fmt.Sprintf("pw%d", n))
	}
	if accounts, err := runningRealm(t, "default").accounts.Store.Accounts(context.Background(), 0, 100); err != nil || len(accounts) != 3 {
		t.Errorf("%d accounts, %v", len(accounts), err)
	}
}

func TestOneOfManyRenamesToAName(t *testing.T) {
	s := serve(t, site(crowd))
	tokens := make([]string, clients)
	for i := range tokens {
		tokens[i] = s.Register(fmt.Sprintf("user%d", i), "pw")
	}
	wantOneWinner(t, atOnce(func(i int) answer {
		return s.Post("/auth/username", tokens[i], "new_username", "wanted", "current_password", "pw")
	}), 200)
	s.Login("wanted", "pw")
}

func TestALinkWorksForOneOfMany(t *testing.T) {
	s := serve(t, site("send_activation_email\nlogin_after_activation\n"+crowd))
	s.Post("/auth/register", "", "username", "ann", "password", "pw", "email", "a@b.example").Want(t, 201)
	link := s.link(t, 1)
	wantOneWinner(t, atOnce(func(int) answer { return s.JSON("POST", "/auth/activate", "", link) }), 200)
	store := runningRealm(t, "default").accounts.Store
	if tokens, err := store.Tokens(context.Background(), 1); err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens, %v", len(tokens), err)
	}

	s.Post("/auth/password/reset", "", "email", "a@b.example").Want(t, 200)
	link = strings.TrimSuffix(s.link(t, 2), "}")
	winner := make(chan int, clients)
	wantOneWinner(t, atOnce(func(i int) answer {
		a := s.JSON("POST", "/auth/password/reset/confirm", "", fmt.Sprintf(`%s, "new_password": "new%d"}`, link, i))
		if a.Status == 200 {
			winner <- i
		}
		return a
	}), 200)
	n := <-winner
	for i := range clients {
		want := 400
		if i == n {
			want = 200
		}
		s.Post("/auth/login", "", "username", "ann", "password", fmt.Sprintf("new%d", i)).Want(t, want)
	}
	if tokens, err := store.Tokens(context.Background(), 1); err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens after the reset and one login, %v", len(tokens), err)
	}
}

func TestOneOfManyChangesAPassword(t *testing.T) {
	s := serve(t, site(crowd))
	token := s.Register("ann", "pw")
	winner := make(chan int, clients)
	wantOneWinner(t, atOnce(func(i int) answer {
		a := s.Post("/auth/password", token, "new_password", fmt.Sprintf("new%d", i), "current_password", "pw")
		if a.Status == 200 {
			winner <- i
		}
		return a
	}), 200)
	s.Login("ann", fmt.Sprintf("new%d", <-winner))
}

func TestChangesOfOneAccountAreNotMixedUp(t *testing.T) {
	s := serve(t, withModel(`required_fields first last
		field first char {
			max_length 20
		}
		field last char {
			max_length 20
		}`))
	s.JSON("POST", "/auth/register", "", `{"username": "ann", "password": "pw", "first": "x", "last": "x"}`).Want(t, 201)
	token := s.Login("ann", "pw")
	statuses := atOnce(func(i int) answer {
		return s.JSON("PATCH", "/auth/me", token, fmt.Sprintf(`{"first": "n%d", "last": "n%d"}`, i, i))
	})
	if statuses[200] != clients {
		t.Errorf("answers by status: %v", statuses)
	}
	acc, err := runningRealm(t, "default").accounts.Store.Account(context.Background(), 1)
	if err != nil || acc.Fields["first"] != acc.Fields["last"] || acc.Fields["first"] == "x" || acc.Version != clients+2 {
		t.Errorf("%+v, %v", acc, err)
	}
}

func TestLoggingOutKeepsOtherLogins(t *testing.T) {
	s := serve(t, site(crowd))
	s.Register("ann", "pw")
	tokens := make([]string, clients)
	statuses := atOnce(func(i int) answer {
		a := s.Post("/auth/login", "", "username", "ann", "password", "pw")
		tokens[i] = tokenOf(a)
		return a
	})
	if statuses[http.StatusOK] != clients {
		t.Fatalf("logins by status: %v", statuses)
	}
	// Half of them log out, twice each, while the others continue.
	statuses = atOnce(func(i int) answer {
		if i%2 == 0 {
			return s.Get("/auth/me", tokens[i])
		}
		s.Post("/auth/logout", tokens[i])
		return s.Post("/auth/logout", tokens[i])
	})
	if statuses[200] != clients/2 || statuses[401] != clients/2 {
		t.Errorf("answers by status: %v", statuses)
	}
	for i, token := range tokens {
		want := 200
		if i%2 == 1 {
			want = 401
		}
		s.Get("/auth/me", token).Want(t, want)
	}
}

func TestLogoutsOfOneTokenAtOnce(t *testing.T) {
	s := serve(t, site(crowd))
	token, other := s.Register("ann", "pw"), s.Login("ann", "pw")
	statuses := atOnce(func(int) answer { return s.Post("/auth/logout", token) })
	if statuses[200] < 1 || statuses[200]+statuses[401] != clients {
		t.Errorf("answers by status: %v", statuses)
	}
	s.Get("/auth/me", token).Want(t, 401)
	s.Get("/auth/me", other).Want(t, 200)
}

func TestADeletedAccountIsGoneForEverybody(t *testing.T) {
	s := serve(t, site(crowd))
	token := s.Register("ann", "pw")
	accounts := runningRealm(t, "default").accounts
	statuses := atOnce(func(i int) answer {
		if i == clients/2 {
			if _, err := accounts.Remove(context.Background(), 1); err != nil {
				t.Error(err)
			}
		}
		if i%2 == 0 {
			return s.Post("/auth/username", token, "new_username", fmt.Sprintf("ann%d", i), "current_password", "pw")
		}
		return s.JSON("PATCH", "/auth/me", token, fmt.Sprintf(`{"email": "a%d@b.example"}`, i))
	})
	for status := range statuses {
		if status != 200 && status != 401 {
			t.Errorf("answers by status: %v", statuses)
		}
	}
	s.Get("/auth/me", token).Want(t, 401)
	if found, err := accounts.Store.Accounts(context.Background(), 0, 10); err != nil || len(found) != 0 {
		t.Errorf("%d accounts, %v", len(found), err)
	}
}
