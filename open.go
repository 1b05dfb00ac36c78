package djoser

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-djoser/djoser/authn"
	"github.com/caddy-djoser/djoser/jwt"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// open opens the store, once. While retry does, it returns why the last try failed.
func (r *realm) open() (*sharedStore, error) {
	if shared := r.shared.Load(); shared != nil {
		return shared, nil
	}
	if down := r.down.Load(); down != nil {
		return nil, *down
	}
	return r.tryOpen()
}

// now is the time by the store's clock, once it is open.
func (r *realm) now() time.Time {
	if shared := r.shared.Load(); shared != nil {
		return shared.Now()
	}
	return time.Now()
}

// health returns why the store doesn't work, or nil. It reads nothing of the store.
func (r *realm) health() error {
	shared, err := r.open()
	if err != nil {
		return err
	}
	if fault := shared.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

func (r *realm) tryOpen() (*sharedStore, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if shared := r.shared.Load(); shared != nil {
		return shared, nil
	}
	if r.closed {
		return nil, model.ErrClosed
	}
	ctx := context.Background()
	value, shares, err := stores.LoadOrNew(r.location, func() (caddy.Destructor, error) { return r.newSharedStore(ctx) })
	if err != nil {
		return nil, err
	}
	shared := value.(*sharedStore)
	accounts, err := r.newAccounts(ctx, shared)
	if err == nil {
		err = shared.attach(ctx, r)
	}
	if err != nil {
		_, delErr := stores.Delete(r.location)
		return nil, errors.Join(err, delErr)
	}
	if !shares {
		shared.watch()
	}
	r.accounts = accounts
	r.keys = jwt.NewKeys(accounts.Links.Key, shared.Now)
	if s := r.settings.JWT; s != nil {
		r.issuer = s.NewIssuer(r.keys)
	}
	r.shared.Store(shared)
	if r.mailer != nil {
		r.release = shared.outbox.Use(r.delivery())
	}
	return shared, nil
}

// The pauses of retry grow from firstRetry to lastRetry.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// retry opens a store that couldn't be opened in the background, again and again until
// it can or ctx ends.
func (r *realm) retry(ctx context.Context, err error) {
	r.log.Error("the store can't be opened: the realm's requests get 503, other sites work; it is tried again until it can be",
		zap.String("store", r.location), zap.Error(err))
	r.setDown(err)
	go func() {
		r.reportStore(&err)
		for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			if _, err := r.tryOpen(); err != nil {
				r.setDown(err)
				continue
			}
			r.down.Store(nil)
			r.reportStore(nil)
			return
		}
	}()
}

func (r *realm) setDown(err error) {
	err = fmt.Errorf("%w: %w", model.ErrUnavailable, err)
	r.down.Store(&err)
}

// identities returns the cache of the realm's store.
func (r *realm) identities() (*authn.Cache, error) {
	shared, err := r.open()
	if err != nil {
		return nil, err
	}
	return shared.Cache, nil
}

// openKeys returns the realm's own keys. It opens the store, which they come from.
func (r *realm) openKeys() (*jwt.Keys, error) {
	if _, err := r.open(); err != nil {
		return nil, err
	}
	return r.keys, nil
}

// closeTimeout is how long a configuration that ends waits for a store to close. It is
// longer than the outbox waits for the mail that is being sent.
var closeTimeout = 30 * time.Second

// closeInTime is close, but doesn't wait for ever, as for a broken disk.
func (r *realm) closeInTime() error {
	closed := make(chan error, 1)
	go func() { closed <- r.close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(closeTimeout):
		r.log.Error("the store doesn't close, as if its disk didn't answer: it is left as it is, and can't be opened again until it is closed",
			zap.String("store", r.location), zap.Duration("waited", closeTimeout))
		return nil
	}
}

// close releases what open acquired. Requests that are still being served get
// ErrClosed, unless another configuration holds the store.
func (r *realm) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	shared := r.shared.Load()
	if shared == nil {
		return nil
	}
	if r.release != nil {
		r.release()
	}
	err := shared.detach(context.Background(), r)
	_, delErr := stores.Delete(r.location)
	return errors.Join(err, delErr)
}
