package djoser_test

import (
	"sync"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/caddy-djoser/djoser"
	"github.com/caddy-djoser/djoser/storetest"
)

// openBadger opens a Badger store in a folder.
func openBadger(t testing.TB, dir string) djoser.Store {
	t.Helper()
	b := djoser.BadgerStore{Path: dir, Reserve: 1 << 20}
	location, err := b.Location("default")
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Open(t.Context(), location, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBadger(t *testing.T) {
	var folders sync.Map
	storetest.Run(t, func(t *testing.T) djoser.Store {
		dir, ok := folders.Load(t.Name())
		if !ok {
			dir = t.TempDir()
			folders.Store(t.Name(), dir)
		}
		return openBadger(t, dir.(string))
	})
}
