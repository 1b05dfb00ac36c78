package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddy-djoser/djoser/internal/fileowner"
)

// The configuration file of a command.

const workingCaddyfile = "Caddyfile"

// findConfig is the Caddyfile of the working folder, if any. It decides where
// passwords are sent, so nobody else may be able to change it.
func findConfig() (string, error) {
	file, err := filepath.EvalSymlinks(workingCaddyfile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, path := range []string{file, filepath.Dir(file), "."} {
		if err := outOfReach(path); err != nil {
			return "", fmt.Errorf("the Caddyfile in this folder is not used, since it says where passwords go, and %w: if you trust it, use --config %s, or name the server with --address", err, workingCaddyfile)
		}
	}
	return workingCaddyfile, nil
}

// outOfReach returns an error if other users than this one and root can change a
// file, or the content of a folder.
func outOfReach(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	name := "the file " + filepath.Base(path)
	if info.IsDir() {
		name = "the folder"
		if path != "." {
			name += " " + path
		}
	}
	owner, ok := fileowner.Of(info)
	switch {
	case !ok:
		return errors.New("this system doesn't tell who can change it")
	case owner != os.Geteuid() && owner != 0:
		return fmt.Errorf("%s belongs to another user (uid %d)", name, owner)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written by others (mode %04o)", name, info.Mode().Perm())
	}
	return nil
}

// mayOpen refuses a store that belongs to another user: the server couldn't read
// what this process writes into it.
func mayOpen(location string) error {
	info, err := os.Stat(location)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not made yet, or not a file
	}
	if err != nil {
		return err
	}
	if owner, ok := fileowner.Of(info); ok && owner != os.Geteuid() {
		return fmt.Errorf("store %s belongs to the user with uid %d: run the command as that user, or the server couldn't read what it writes", location, owner)
	}
	return nil
}
