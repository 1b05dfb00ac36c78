package records

import (
	"fmt"
	"slices"

	"github.com/caddy-djoser/djoser/model"
)

// CompareKeys compares the unique keys of an account with those that the user model gives
// it. It calls report with each fault. Without keys, it does nothing.
func (r *Account) CompareKeys(keysOf func(*model.Account) ([]model.Key, error), report func(fault string)) {
	if keysOf == nil {
		return
	}
	account := r.Account
	keys, err := keysOf(&account)
	if err != nil {
		report(fmt.Sprintf("account %d: %v", r.ID, err))
		return
	}
	for _, k := range keys {
		if !slices.Contains(r.Keys, k) && !k.Reserved { // else another account had it
			report(fmt.Sprintf("account %d lacks the unique key of its %s", r.ID, k.Field))
		}
	}
	for _, k := range r.Keys {
		if !slices.Contains(keys, k) {
			report(fmt.Sprintf("account %d has a unique key of a %s that it doesn't have", r.ID, k.Field))
		}
	}
}
