//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/postgres"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// registration is a typical one, without the log-in.
func registration() *model.Change {
	name := rand.Text()
	return &model.Change{Account: &model.Account{
		Username: name, Email: name + "@example.com", IsActive: true, DateJoined: time.Now(),
		Password: "argon2$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbmJ5dGVzc2FsdA$" + fmt.Sprintf("%043d", 1),
		Keys:     []model.Key{{Field: "username", Value: name}},
	}}
}

func token(account uint64) *model.Token {
	t := &model.Token{
		Account: account, Created: time.Now(), Expires: time.Now().Add(30 * 24 * time.Hour),
		Address: "203.0.113.77", Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	}
	rand.Read(t.Digest[:]) // never fails; see crypto/rand
	return t
}

// costs measures each change, and the look-up of a token that isn't cached.
func costs(ctx context.Context) {
	p := postgres.Store{URL: *url, Schema: schema}
	location, err := p.Location("")
	check(err)
	s, err := p.Open(ctx, location, zap.NewNop())
	check(err)
	defer s.Close()

	before := size(ctx)
	tokens, ids := make([]*model.Token, *changes), make([]uint64, *changes)
	fmt.Println("| what | processor time, of the server / PostgreSQL | a second, all together |\n|---|---|---|")
	measure(ctx, "registration", func(n int) error {
		c := registration()
		err := s.Commit(ctx, c)
		ids[n] = c.Account.ID
		return err
	})
	measure(ctx, "log-in", func(n int) error {
		tokens[n] = token(ids[n])
		return s.Commit(ctx, &model.Change{Token: tokens[n]})
	})
	grown := size(ctx) - before
	measure(ctx, "token and account read", func(n int) error {
		_, _, err := s.Token(ctx, tokens[n].Digest)
		return err
	})
	used := make(map[model.Digest]time.Time)
	for _, t := range tokens {
		used[t.Digest] = time.Now()
	}
	begin := usage(ctx)
	check(s.TouchTokens(ctx, used))
	fmt.Printf("| last use of a token written, with many | %s | |\n", usage(ctx).minus(begin).each(int64(*changes)))
	measure(ctx, "log-out", func(n int) error { return s.Commit(ctx, &model.Change{EndToken: &tokens[n].Digest}) })
	fmt.Printf("\nAn account with its token takes %d bytes.\n\n", grown/int64(*changes))
}

// measure calls fn for each number, clients at once.
func measure(ctx context.Context, what string, fn func(n int) error) {
	begin, before := time.Now(), usage(ctx)
	each(*changes, func(n int) {
		if err := fn(n); err != nil {
			log.Fatalf("%s: %v", what, err)
		}
	})
	took := time.Since(begin)
	fmt.Printf("| %s | %s | %.0f |\n", what, usage(ctx).minus(before).each(int64(*changes)), float64(*changes)/took.Seconds())
}

// size returns the bytes of all tables and indexes, after a vacuum.
func size(ctx context.Context) (bytes int64) {
	conn, err := pgx.Connect(ctx, *url)
	check(err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "vacuum full "+schema+".accounts, "+schema+".keys, "+schema+".tokens")
	check(err)
	check(conn.QueryRow(ctx, "select sum(pg_total_relation_size(oid))::bigint from pg_class where relnamespace = to_regnamespace($1) and relkind = 'r'", schema).Scan(&bytes))
	return bytes
}
