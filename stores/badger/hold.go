package badger

import (
	"crypto/sha256"
	"time"

	"github.com/caddy-djoser/djoser/account"
)

// A hold prevents anyone from taking a unique key for some time, such as the name
// of a deleted account. It survives a change of the user model, so its key
// ignores case whether or not the model does. It is stored as a digest, so that
// nothing readable is left of the deleted account.

func holdKeyOf(k account.Key) []byte {
	sum := sha256.Sum256([]byte(k.Field + "\x00" + account.FoldCase(foldEmail(k.Value))))
	return append([]byte{prefixHold}, sum[:]...)
}

func holdKey(b *batch, k account.Key, until time.Time) {
	if until.After(b.s.now()) {
		b.set(holdKeyOf(k), appendHold(nil, until), expiry(until))
	}
}

func freeKey(b *batch, k account.Key) error {
	held, err := isHeld(b, k)
	if err == nil && !held {
		err = account.ErrNotFound
	}
	if err != nil {
		return err
	}
	b.delete(holdKeyOf(k))
	return nil
}

func isHeld(b *batch, k account.Key) (bool, error) {
	record, err := b.get(holdKeyOf(k))
	if err == account.ErrNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	until, err := decodeHold(record)
	return b.s.now().Before(until), err
}

func appendHold(b []byte, until time.Time) []byte {
	return appendTime(append(b, recordFormat), recHoldUntil, until)
}

func decodeHold(record []byte) (until time.Time, err error) {
	d := recordDecoder{s: string(record)}
	d.format()
	for d.next() {
		if d.num == recHoldUntil {
			until = d.time()
		} else {
			d.raw()
		}
	}
	return until, d.err()
}
