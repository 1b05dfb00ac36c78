package djoser

import (
	"context"

	"go.uber.org/zap"
)

// StoreModule is what a module in the namespace djoser.stores implements.
type StoreModule interface {
	// Location identifies what is opened for a realm: two realms, or two
	// configurations, with the same location share one open store. It touches
	// nothing, so that a configuration can be checked beside a running server.
	Location(realm string) (string, error)

	// Open opens the store at a location.
	Open(ctx context.Context, location string, log *zap.Logger) (Store, error)
}
