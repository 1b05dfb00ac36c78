package badger

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap"
)

// logger writes Badger's messages to Caddy's log. Keys contain e-mail addresses
// and digests of tokens, and some messages quote keys, so it leaves out arguments
// that may hold one.
type logger struct{ log *zap.Logger }

func (l logger) Errorf(format string, args ...any)   { l.log.Error(plainMessage(format, args)) }
func (l logger) Warningf(format string, args ...any) { l.log.Warn(plainMessage(format, args)) }

func (l logger) Infof(format string, args ...any) {
	if c := l.log.Check(zap.DebugLevel, "badger"); c != nil {
		c.Write(zap.String("message", plainMessage(format, args)))
	}
}

// Debugf drops the message: each transaction causes some.
func (logger) Debugf(string, ...any) {}

func plainMessage(format string, args []any) string {
	safe := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case int, int32, int64, uint32, uint64, float64, bool, time.Duration:
			safe[i] = v
		case error:
			safe[i] = plainError(v)
		case string:
			if safe[i] = v; strings.ContainsAny(v, "\n\"") {
				safe[i] = "…"
			}
		default:
			safe[i] = "…"
		}
	}
	return strings.TrimSpace(fmt.Sprintf(format, safe...))
}

// quotedKey matches where Badger's errors quote a key.
var quotedKey = regexp.MustCompile(`(?i)key: ?"(?:[^"\\]|\\.)*"`)

// plainError returns an error of Badger without the key that it may quote. It
// doesn't wrap the causes, which Badger has flattened to text anyway.
func plainError(err error) error {
	return errors.New(strings.TrimSpace(quotedKey.ReplaceAllString(err.Error(), "key")))
}
