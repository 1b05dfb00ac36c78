package djoser

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// wrappedStores wrap a Badger store twice: "store wrapped". Without Unwrap it is "store
// sealed".
type wrappedStores struct{ badger.Store }

type sealedStores struct{ badger.Store }

func init() {
	caddy.RegisterModule(wrappedStores{})
	caddy.RegisterModule(sealedStores{})
}

func (wrappedStores) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser.stores.wrapped", New: func() caddy.Module { return new(wrappedStores) }}
}

func (sealedStores) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "djoser.stores.sealed", New: func() caddy.Module { return new(sealedStores) }}
}

func (w *wrappedStores) Open(ctx context.Context, location string, log *zap.Logger) (model.Store, error) {
	s, err := w.Store.Open(ctx, location, log)
	return &wrappedStore{&wrappedStore{s}}, err
}

func (w *sealedStores) Open(ctx context.Context, location string, log *zap.Logger) (model.Store, error) {
	s, err := w.Store.Open(ctx, location, log)
	return &sealedStore{s}, err
}

type wrappedStore struct{ model.Store }

func (s *wrappedStore) Unwrap() model.Store { return s.Store }

type sealedStore struct{ model.Store }

func TestAWrappedStoreHasBackupsAndGroups(t *testing.T) {
	in := install(t, strings.Replace(required, "store badger", "store wrapped", 1))
	in.ok("import", dumpFile(t, "auth.json"))
	in.comesBack(dumpFile(t, "auth.json"), "auth.user")
	in.ok("backup", filepath.Join(in.Dir, "offline.bak"))
	in.ok("check")
	in.Start()
	file := filepath.Join(in.Dir, "it.bak")
	in.ok("backup", file)
	in.ok("check")
	in.Stop()
	other := install(t, strings.Replace(required, "store badger", "store wrapped", 1))
	other.ok("restore", file)
	other.comesBack(dumpFile(t, "auth.json"), "auth.user")
}

func TestAStoreWithoutBackupsAndGroupsSaysSo(t *testing.T) {
	in := install(t, strings.Replace(required, "store badger", "store sealed", 1))
	in.djoser("", "import", dumpFile(t, "auth.json"), "--dry-run").Want(t, 0, "this store keeps no groups")
	refused := func() {
		t.Helper()
		in.djoser("", "backup", filepath.Join(in.Dir, "it.bak")).Want(t, 1, "this store has its own backup tools")
		in.djoser("", "check").Want(t, 1, "this store has its own backup tools")
	}
	refused()
	in.Start()
	refused()
}

func TestAsEndsWhereNothingIsWrapped(t *testing.T) {
	for _, s := range []model.Store{nil, &sealedStore{}, &wrappedStore{}, &wrappedStore{&wrappedStore{}}} {
		if found, ok := model.As[model.BackupStore](s); ok || found != nil {
			t.Errorf("%T: %v", s, found)
		}
	}
}
