package testsite

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"testing"
	"time"
)

// App is an authenticator app, as RFC 6238 describes it.
type App struct {
	Secret string // in base 32
	Now    func() time.Time
	last   uint64 // step
}

// Code returns a code that the app hasn't shown before and that is good now. A server takes
// codes of three steps; after that it waits for the next one.
func (a *App) Code(t testing.TB) string {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(a.Secret)
	if err != nil {
		t.Fatal(err)
	}
	for {
		now := uint64(a.Now().Unix() / 30)
		if a.last = max(a.last+1, now-1); a.last <= now+1 {
			break
		}
		a.last--
		time.Sleep(time.Second)
	}
	mac := hmac.New(sha1.New, secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, a.last))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&0xF:])&0x7FFFFFFF%1_000_000)
}
