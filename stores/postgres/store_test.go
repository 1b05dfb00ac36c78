package postgres

import (
	"testing"

	"github.com/caddy-djoser/djoser/storetest"
)

func TestPostgres(t *testing.T) {
	s := sharedServer(t)
	storetest.Run(t, reopen(Store{URL: s.url()}))
}
