//go:build !linux

package diskspace

import "os"

// Allocate does nothing on this platform.
func Allocate(*os.File, int64) error { return nil }
