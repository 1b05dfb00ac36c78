package djoser

import (
	"context"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/stores/badger"
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

// The words of package account that a store is written in.
type (
	Store       = account.Store
	GroupStore  = account.GroupStore
	BackupStore = account.BackupStore

	Account     = account.Account
	FormerEmail = account.FormerEmail
	Token       = account.Token
	Digest      = account.Digest
	Mail        = account.Mail
	Purpose     = account.Purpose
	Change      = account.Change
	Key         = account.Key
	Group       = account.Group
	Stats       = account.Stats
	TakenError  = account.TakenError
)

// BadgerStore is the embedded store, for a store that wraps it.
type BadgerStore = badger.Store

// Purposes of a Mail.
const (
	PurposeActivation    = account.PurposeActivation
	PurposeEmailChange   = account.PurposeEmailChange
	PurposePasswordReset = account.PurposePasswordReset
	PurposeEmailNotice   = account.PurposeEmailNotice
)

// Errors of a Store.
var (
	ErrNotFound = account.ErrNotFound
	ErrConflict = account.ErrConflict
	ErrModel    = account.ErrModel
	ErrFull     = account.ErrFull
	ErrClosed   = account.ErrClosed
)

// Interface guard
var _ StoreModule = (*BadgerStore)(nil)
