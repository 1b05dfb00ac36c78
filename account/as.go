package account

// As finds what a store can do beyond a Store, such as a GroupStore or a
// BackupStore: in the store itself, or in one that it wraps and returns by a
// method Unwrap() Store, as errors.As does with errors.
func As[T any](s Store) (T, bool) {
	for {
		if t, ok := s.(T); ok {
			return t, true
		}
		wrapper, ok := s.(interface{ Unwrap() Store })
		if !ok {
			var none T
			return none, false
		}
		s = wrapper.Unwrap()
	}
}
