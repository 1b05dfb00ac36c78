package badger

import (
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/changes"
	"github.com/caddy-djoser/djoser/stores/records"
)

// A hold prevents anyone from taking a unique key for some time, such as the name
// of a deleted account.

func holdKey(b *batch, k model.Key, until time.Time) {
	if until.After(b.s.now()) {
		b.set(records.HoldKey(k), records.EncodeHold(until), changes.Expiry(until))
	}
}

func freeKey(b *batch, k model.Key) error {
	held, err := isHeld(b, k)
	if err == nil && !held {
		err = model.ErrNotFound
	}
	if err != nil {
		return err
	}
	b.delete(records.HoldKey(k))
	return nil
}

func isHeld(b *batch, k model.Key) (bool, error) {
	record, err := b.get(records.HoldKey(k))
	if err == model.ErrNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	until, err := records.DecodeHold(record)
	return b.s.now().Before(until), err
}
