package postgres

import (
	"time"

	"go.uber.org/zap"
)

// Servers take the time from the database, or a token that one of them has just made could be
// an old one for another. Each look at the endings shows how far the database's clock is
// ahead of the machine's, which is kept while the database doesn't answer.

// noteSkew is by how much a machine's clock must differ to be logged.
const noteSkew = time.Minute

// Now implements model.SharedStore.
func (s *database) Now() time.Time { return s.clock().Add(time.Duration(s.ahead.Load())) }

// setClock sets the clock by the time in the database, between when it was asked for and now.
// A clock that may be right is left alone, so that the time doesn't waver.
func (s *database) setClock(asked, there time.Time) {
	least, most := there.Sub(s.clock()), there.Sub(asked)
	before := time.Duration(s.ahead.Load())
	ahead := max(least, min(most, before))
	s.ahead.Store(int64(ahead))
	if ahead.Abs() >= noteSkew && before.Abs() < noteSkew {
		s.log.Warn("the clock of this machine isn't that of the database, which counts here", zap.Duration("database_ahead", ahead))
	}
}
