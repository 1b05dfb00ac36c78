package account

import (
	"sync"
	"testing"
)

func TestLocksOfAccountsAreForgottenAfterUse(t *testing.T) {
	var locks accountLocks
	var waiting sync.WaitGroup
	held := 0 // guarded by the lock of account 1
	for range 100 {
		waiting.Go(func() {
			unlock, err := locks.lock(t.Context(), 1)
			if err != nil {
				t.Error(err)
				return
			}
			held++
			unlock()
		})
	}
	waiting.Wait()
	if held != 100 || len(locks.locks) > 0 {
		t.Errorf("held %d times, %d locks are left", held, len(locks.locks))
	}
}
