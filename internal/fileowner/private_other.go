//go:build !linux

package fileowner

import "errors"

// KeepPrivate returns an error: it isn't possible on this platform.
func KeepPrivate(string) error { return errors.ErrUnsupported }
