package account

import (
	"context"
	"time"
)

// endedKept is how long a provisional account is kept after it has ended, so that an
// administrator can still activate it.
const endedKept = 7 * 24 * time.Hour

// sweepPage is how many accounts Sweep reads at a time.
const sweepPage = 256

// Sweep deletes the provisional accounts that ended a week ago, with their mails, and
// returns how many. Accounts that an administrator made, deactivated, confirmed or gave
// rights stay. It stops at the first error.
func (a *Service) Sweep(ctx context.Context) (deleted int, err error) {
	for after := uint64(0); ; {
		page, err := a.Store.Accounts(ctx, after, sweepPage)
		if err != nil {
			return deleted, err
		}
		for _, acc := range page {
			if after = acc.ID; !a.endedFor(acc, endedKept) || acc.EmailConfirmed || acc.HasRights() {
				continue
			}
			dropped, err := a.dropEnded(ctx, acc.ID)
			if err != nil {
				return deleted, err
			}
			if dropped {
				deleted++
			}
		}
		if len(page) < sweepPage {
			return deleted, nil
		}
	}
}
