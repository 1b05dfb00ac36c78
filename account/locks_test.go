package account

import (
	"sync"
	"testing"
)

func TestTurnsAreForgottenOnceTheyAreOver(t *testing.T) {
	var all turns
	var waiting sync.WaitGroup
	taken := 0 // guarded by the turn of account 1
	for range 100 {
		waiting.Go(func() {
			end, err := all.take(t.Context(), 1)
			if err != nil {
				t.Error(err)
				return
			}
			taken++
			end()
		})
	}
	waiting.Wait()
	if taken != 100 || len(all.lines) > 0 {
		t.Errorf("%d turns, %d accounts are still being changed", taken, len(all.lines))
	}
}
