// Package badger keeps accounts, tokens and mails in an embedded database in Badger's
// format, see package lsm. It is the default store, the Caddy module
// djoser.stores.badger.
package badger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/caddy-djoser/djoser/internal/directive"
	"github.com/caddy-djoser/djoser/model"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"
)

// defaultReserve is the default of Store.Reserve: enough for the tables that may be about
// to be written in the background.
const defaultReserve = 64 << 20

// Store keeps a realm in an embedded database, in its own folder.
// Nothing else has to be installed or run.
//
// Acknowledged changes are durable. When the disk has too little free space, the
// store refuses changes (requests get 507) but still reads, so that users stay
// logged in. It accepts changes again once there is enough space. It needs the
// reserve plus the size of the store itself, up to 256 MB, because tables are
// rewritten in the background.
//
// Only one process at a time can open the folder. It stays open when the
// configuration is reloaded.
type Store struct {
	// Path is the folder. It is created if needed, but its parent is not.
	// Default: djoser/<realm> in Caddy's data folder.
	Path string `json:"path,omitempty"`

	// Reserve is how many bytes are kept free on the disk. Default: 64 MB.
	Reserve int64 `json:"reserve,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "djoser.stores.badger",
		New: func() caddy.Module { return new(Store) },
	}
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens:
//
//	badger [<path>] {
//		reserve <size>
//	}
func (b *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if d.NextArg() {
		b.Path = d.Val()
		if b.Path == "" {
			return d.Err("the path of the store is empty: name a folder, or leave the path out for the default")
		}
	}
	if d.NextArg() {
		return d.Errf("unexpected argument %q: badger takes one path; quote it if it has spaces", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "reserve":
			if b.Reserve != 0 {
				return d.Err("reserve is set twice")
			}
			if !d.NextArg() {
				return d.Err("reserve needs a size, such as 64MB")
			}
			size, err := humanize.ParseBytes(d.Val())
			if err != nil || size == 0 || size > 1<<50 {
				return d.Errf("reserve %q is not a size: write one such as 64MB", d.Val())
			}
			b.Reserve = int64(size)
			if d.NextArg() {
				return d.Errf("unexpected argument %q: reserve takes one size, such as 64MB", d.Val())
			}
		default:
			return d.Errf("unknown option %q of the badger store: it has reserve", option)
		}
	}
	return nil
}

// Provision expands placeholders in the path.
func (b *Store) Provision(caddy.Context) error {
	var err error
	b.Path, err = directive.Expand("path of the badger store", b.Path)
	return err
}

// Validate checks the settings. It changes nothing on disk.
func (b *Store) Validate() error {
	if b.Reserve < 0 {
		return fmt.Errorf("reserve of the badger store is %d bytes: it can't be negative", b.Reserve)
	}
	if b.Path == "" {
		return nil // Open creates the parent, too
	}
	path, err := filepath.Abs(b.Path)
	if err != nil {
		return fmt.Errorf("path of the badger store: %w", err)
	}
	return checkParent(path)
}

// checkParent returns an error if the parent of a folder doesn't exist. One that
// this user may not see is no error: Caddy may run as another user.
func checkParent(dir string) error {
	_, err := os.Stat(filepath.Dir(dir) + string(filepath.Separator))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return folderError(dir, err)
	}
	return nil
}

// Location returns the store's folder as an absolute path without symbolic
// links. The folder need not exist yet.
func (b *Store) Location(realm string) (string, error) {
	path := b.Path
	if path == "" {
		if !filepath.IsLocal(realm) || realm == "." || strings.ContainsAny(realm, `/\:`) {
			return "", fmt.Errorf("realm %q can't name a folder: give its badger store a path", realm)
		}
		path = filepath.Join(home(), realm)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("path of the badger store: %w", err)
	}
	return resolve(path)
}

// home is the folder that holds the stores without a path.
func home() string { return filepath.Join(caddy.AppDataDir(), "djoser") }

// resolve follows the symbolic links in the part of an absolute path that exists.
func resolve(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return resolved, err
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path, nil
	}
	if parent, err = resolve(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}

// Open opens the store in the folder, and creates it if needed.
func (b *Store) Open(ctx context.Context, location string, log *zap.Logger) (model.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.Path == "" {
		if err := os.MkdirAll(filepath.Dir(location), 0o700); err != nil {
			return nil, folderError(location, err)
		}
	}
	return open(location, cmp.Or(b.Reserve, defaultReserve), log)
}

// folderError explains an error with a store's folder, and what to do about it.
func folderError(dir string, err error) error {
	if err == nil {
		return nil
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("store %s: %w: the user that runs Caddy%s must own this folder and be allowed to write in it", dir, err, whoami())
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("store %s: %w: an open store is written to all the time: mount it without ro, or in a container put it on a volume", dir, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("store %s: the folder %s doesn't exist: create it, or mount the disk that belongs there", dir, filepath.Dir(dir))
	}
	return fmt.Errorf("store %s: %w", dir, err)
}

func whoami() string {
	if uid := os.Geteuid(); uid >= 0 {
		return " (uid " + strconv.Itoa(uid) + ")"
	}
	return ""
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Store)(nil)
	_ caddy.Validator       = (*Store)(nil)
	_ caddyfile.Unmarshaler = (*Store)(nil)
)
