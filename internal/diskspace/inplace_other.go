//go:build !linux

package diskspace

import "errors"

// WriteInPlace returns an error on this platform.
func WriteInPlace(string) error { return errors.ErrUnsupported }
