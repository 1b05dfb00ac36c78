package records

import (
	"crypto/sha256"
	"time"

	"github.com/caddy-djoser/djoser/internal/username"
	"github.com/caddy-djoser/djoser/model"
	"google.golang.org/protobuf/encoding/protowire"
)

const recHoldUntil protowire.Number = 1

// HoldKey returns the key of a hold, which prevents anyone from taking a unique key.
// It survives a change of the user model, so it ignores case whether or not the model
// does. It is a digest, so that nothing readable is left of a deleted account.
func HoldKey(k model.Key) []byte {
	sum := sha256.Sum256([]byte(k.Field + "\x00" + username.FoldCase(FoldEmail(k.Value))))
	return append([]byte{PrefixHold}, sum[:]...)
}

// EncodeHold returns the record of a hold.
func EncodeHold(until time.Time) []byte {
	return appendTime([]byte{recordFormat}, recHoldUntil, until)
}

// DecodeHold decodes the record of a hold.
func DecodeHold(record []byte) (until time.Time, err error) {
	d := decoder{s: string(record)}
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
