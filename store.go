package djoser

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-djoser/djoser/account"
	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/mail"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger"
	"github.com/caddy-djoser/djoser/throttle"
	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// StoreModule is what a module in the namespace djoser.stores implements.
type StoreModule interface {
	// Location identifies the store of a realm, such as by its folder. Realms and
	// configurations with the same location share one open store. It must not
	// open or create anything: caddy validate calls it beside a running server.
	Location(realm string) (string, error)

	// Open opens the store at a location.
	Open(ctx context.Context, location string, log *zap.Logger) (Store, error)
}

// Types of package model that a store needs.
type (
	Store       = model.Store
	GroupStore  = model.GroupStore
	BackupStore = model.BackupStore
	FaultStore  = model.FaultStore

	Account     = model.Account
	FormerEmail = model.FormerEmail
	Token       = model.Token
	Digest      = model.Digest
	Mail        = model.Mail
	Purpose     = model.Purpose
	Change      = model.Change
	Key         = model.Key
	Group       = model.Group
	Stats       = model.Stats
	TakenError  = model.TakenError
)

// BadgerStore is the embedded store, for stores that wrap it.
type BadgerStore = badger.Store

// Purposes of a Mail.
const (
	PurposeActivation    = model.PurposeActivation
	PurposeEmailChange   = model.PurposeEmailChange
	PurposePasswordReset = model.PurposePasswordReset
	PurposeEmailNotice   = model.PurposeEmailNotice

	PurposeUsernameReset   = model.PurposeUsernameReset
	PurposeConfirmation    = model.PurposeConfirmation
	PurposePasswordChanged = model.PurposePasswordChanged
	PurposeFactorOn        = model.PurposeFactorOn
	PurposeFactorOff       = model.PurposeFactorOff
	PurposeTokenMade       = model.PurposeTokenMade
	PurposeIdentityLinked  = model.PurposeIdentityLinked
	PurposeIdentityRemoved = model.PurposeIdentityRemoved
	PurposePasskeyAdded    = model.PurposePasskeyAdded
	PurposePasskeyRemoved  = model.PurposePasskeyRemoved
	PurposeUsernameChanged = model.PurposeUsernameChanged
	PurposeInvitation      = model.PurposeInvitation
	PurposeWaiting         = model.PurposeWaiting
	PurposeApproved        = model.PurposeApproved
	PurposeRejected        = model.PurposeRejected
	PurposeAccountExists   = model.PurposeAccountExists
)

// Errors of a Store.
var (
	ErrNotFound    = model.ErrNotFound
	ErrConflict    = model.ErrConflict
	ErrModel       = model.ErrModel
	ErrFull        = model.ErrFull
	ErrUnavailable = model.ErrUnavailable
	ErrClosed      = model.ErrClosed
)

// Interface guard
var _ StoreModule = (*BadgerStore)(nil)

// loadStore loads the module of the store.
func (r *realm) loadStore(ctx caddy.Context) error {
	if r.settings.StoreRaw == nil {
		r.settings.StoreRaw = json.RawMessage(`{"engine":"badger"}`)
	}
	module, err := ctx.LoadModule(r.settings, "StoreRaw")
	if err != nil {
		return err // with its name
	}
	r.engine = module.(StoreModule)
	r.location, err = r.engine.Location(r.name)
	return err
}

// stores are the open stores of the process, by location. Configurations share
// them during a reload.
var stores = caddy.NewUsagePool()

// sharedStore is an open store, and what lives as long as it.
type sharedStore struct {
	*authn.Cache
	outbox    *mail.Outbox
	throttles *account.Throttles

	stopSweeps context.CancelFunc

	mu     sync.Mutex
	realms []*realm // that use the store, newest last

	fault     atomic.Pointer[error] // nil: none
	reporting sync.Mutex            // guards reported
	reported  *error                // the fault that was reported last
}

// attach adds a realm and applies its settings to the store.
func (s *sharedStore) attach(ctx context.Context, r *realm) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.apply(ctx, r); err != nil {
		return err
	}
	s.realms = append(s.realms, r)
	return nil
}

// detach removes a realm and applies the settings of the newest one left. That is
// an older one if Caddy rejected the new configuration.
func (s *sharedStore) detach(ctx context.Context, r *realm) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.realms = slices.DeleteFunc(s.realms, func(other *realm) bool { return other == r })
	if len(s.realms) == 0 {
		return nil
	}
	return s.apply(ctx, s.realms[len(s.realms)-1])
}

// apply makes the store fit the settings of a realm.
func (s *sharedStore) apply(ctx context.Context, r *realm) error {
	kept, err := r.model.Reindex(ctx, s)
	if err != nil {
		return r.model.Misfit(err)
	}
	if len(kept) > 0 {
		r.log.Warn("accounts have the address of another one, in a spelling that was told apart before: nobody can log in to them with it until it is changed", zap.Uint64s("accounts", kept))
	}
	s.Resize(r.settings.Cache)
	s.EndIdle(time.Duration(r.settings.Token.Idle))
	return nil
}

// watch reports the faults of the store from now on.
func (s *sharedStore) watch() {
	store, ok := model.As[model.FaultStore](s)
	if !ok {
		return
	}
	store.OnFault(func(fault error) {
		if fault == nil {
			s.fault.Store(nil)
		} else {
			s.fault.Store(&fault)
		}
		go s.reportFault() // the store doesn't wait for handlers of events
	})
}

// reportFault reports the fault of the store, or its end, unless it was reported.
func (s *sharedStore) reportFault() {
	s.reporting.Lock()
	defer s.reporting.Unlock()
	fault := s.fault.Load()
	if fault == s.reported {
		return
	}
	s.reported = fault
	if r := s.newest(); r != nil {
		r.reportStore(fault)
	}
}

// newest returns the newest realm that uses the store, or nil.
func (s *sharedStore) newest() *realm {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.realms) == 0 {
		return nil
	}
	return s.realms[len(s.realms)-1]
}

// sweepHour is the hour, in local time, in which the store is swept. It is the hour in
// which the Badger store cleans up.
const sweepHour = 3

// sweepNightly sweeps the store every night until ctx ends.
func (s *sharedStore) sweepNightly(ctx context.Context) {
	tick := time.NewTicker(time.Hour) // one tick is in that hour
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if now.Hour() == sweepHour {
				s.sweep(ctx)
			}
		}
	}
}

// sweep deletes the accounts that were never activated.
func (s *sharedStore) sweep(ctx context.Context) {
	r := s.newest()
	if r == nil || r.shared.Load() == nil {
		return
	}
	deleted, err := r.accounts.Sweep(ctx)
	if deleted > 0 {
		r.log.Info("deleted accounts that were never activated", zap.Int("accounts", deleted))
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("deleting accounts that were never activated", zap.Error(err))
	}
}

// Destruct implements caddy.Destructor.
func (s *sharedStore) Destruct() error {
	s.stopSweeps()
	s.outbox.Close()
	return s.Cache.Close()
}

// newSharedStore opens the store.
func (r *realm) newSharedStore(ctx context.Context) (caddy.Destructor, error) {
	store, err := r.engine.Open(ctx, r.location, r.log)
	if err != nil {
		return nil, err
	}
	stats, err := store.Stats(ctx)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	counts, _ := model.As[throttle.Shared](store)
	shared := &sharedStore{
		Cache:     authn.NewCache(store, model.ClockOf(store)),
		outbox:    mail.NewOutbox(store, r.log),
		throttles: account.NewThrottles(time.Now, counts),
	}
	sweeping, stop := context.WithCancel(context.Background())
	shared.stopSweeps = stop
	go shared.sweepNightly(sweeping)
	r.introduce(shared, stats)
	return shared, nil
}

// introduce logs which store was opened. An empty one may be the wrong one, which
// shows when the first unknown token comes in.
func (r *realm) introduce(shared *sharedStore, stats model.Stats) {
	log := r.log.With(zap.String("store", r.location))
	if stats.Accounts > 0 || stats.Tokens > 0 {
		log.Info("opened the store", zap.Uint64("accounts", stats.Accounts))
		return
	}
	log.Info("opened the store, which is empty", zap.Uint64("accounts", 0))
	warn := func() {
		log.Warn("a token came in that this empty store doesn't know: if the site had accounts before, the path of its store or the name of its realm is another one now")
	}
	shared.Stranger.Store(&warn)
}
