package badger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/caddy-djoser/djoser/internal/atomicfile"
	"github.com/caddy-djoser/djoser/internal/diskspace"
	"github.com/caddy-djoser/djoser/internal/fileowner"
	"github.com/caddy-djoser/djoser/stores/badger/journal"
	"github.com/caddy-djoser/djoser/stores/badger/lsm"
	"github.com/caddy-djoser/djoser/stores/records"
	"github.com/dgraph-io/badger/v4"
	"go.uber.org/zap"
)

// markerFile marks the folder as ours: one that holds something else is refused. It
// also holds the schema, so that a store of a newer version is refused before anything
// touches it.
const markerFile = "DJOSER"

// schemaVersion is the version of the layout of keys and records. A release that
// raises it has to migrate older stores in openFirst.
//
//	1  changes are in Badger alone
//	2  changes are in the journal first
const schemaVersion = 2

const markerText = `caddy-djoser store, schema %d
The files in this folder belong together: don't move, edit or delete single ones.
`

// open opens the store in a folder and starts its writer.
func open(dir string, reserve int64, log *zap.Logger) (*database, error) {
	return openMarked(dir, reserve, log, nil)
}

// openMarked is as open, but also opens a store that a migration with the mark has filled in
// part.
func openMarked(dir string, reserve int64, log *zap.Logger, mark []byte) (*database, error) {
	folder, err := prepareFolder(dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &database{
		dir:     dir,
		log:     log,
		now:     time.Now,
		lock:    lock,
		space:   space{dir: dir, reserve: reserve, tables: func() (int64, error) { return lsm.Size(dir) }},
		queue:   make(chan *mutation, queueLength),
		frozen:  make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
		mark:    mark,
	}
	_ = fileowner.KeepPrivate(dir)  // else fixModes does it later
	_ = diskspace.WriteInPlace(dir) // only some file systems need it
	if err := s.openFirst(folder); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	var background sync.WaitGroup
	background.Go(s.write)
	background.Go(s.maintain)
	background.Go(s.flusher)
	background.Go(s.merger)
	go func() {
		background.Wait()
		close(s.stopped)
	}()
	return s, nil
}

// openFirst opens a store that this process hasn't had open, after it has created
// or upgraded it as needed.
func (s *database) openFirst(folder folder) (err error) {
	if s.locked, err = os.Stat(filepath.Join(s.dir, lockFile)); err != nil {
		return folderError(s.dir, err)
	}
	if err := s.space.check(false); err != nil {
		return fmt.Errorf("store %s: %w: free some, or lower its reserve; it isn't opened on a full disk", s.dir, err)
	}
	switch {
	case folder.isNew:
		err = s.createFiles()
	case folder.schema < schemaVersion:
		err = s.addJournal()
	}
	if err == nil {
		err = s.start()
	}
	if err != nil {
		return err
	}
	s.fixModes()
	return nil
}

// createFiles makes the files of a new store but for the marker. They may be there
// in part if that was interrupted.
func (s *database) createFiles() error {
	if err := os.RemoveAll(filepath.Join(s.dir, journal.Folder)); err != nil {
		return folderError(s.dir, err)
	}
	return folderError(s.dir, cmp.Or(lsm.Create(s.dir), s.createJournal(0), finishMarker(s.dir)))
}

func (s *database) createJournal(last uint64) error {
	j, err := journal.Create(filepath.Join(s.dir, journal.Folder), last)
	if err != nil {
		return err
	}
	return j.Close()
}

// start opens the engine of an existing store, and reads the state that is kept in
// memory.
func (s *database) start() error {
	if err := prepareFiles(s.dir); err != nil {
		return err
	}
	lsm.FetchIndexes(s.dir)
	e, err := s.openEngine()
	if err != nil {
		return err
	}
	s.engine.Store(e)
	if err := s.load(); err != nil {
		s.engine.Store(nil)
		return errors.Join(err, e.close())
	}
	return nil
}

// prepareFolder creates the folder or checks the existing one, and denies access
// to other users. It doesn't touch a folder that holds something else.
func prepareFolder(dir string) (folder, error) {
	found := folder{isNew: true}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.Mkdir(dir, 0o700)
	case err == nil && !info.IsDir():
		err = errors.New("this is a file: the store needs a folder of its own")
	case err == nil:
		if found, err = checkFolder(dir); err != nil {
			return folder{}, err
		}
		err = keepOthersOut(dir, info)
	}
	if err == nil && found.isNew {
		err = draftMarker(dir)
	}
	return found, folderError(dir, err)
}

// folder is what is known of a store's folder from the names of its files and its
// marker.
type folder struct {
	isNew  bool // it has no store yet
	schema int
}

// keepOthersOut lets only the owner use a folder.
func keepOthersOut(dir string, info fs.FileInfo) error {
	if runtime.GOOS == "windows" || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	err := os.Chmod(dir, 0o700)
	if err == nil {
		return nil
	}
	owner, known := fileowner.Of(info)
	if errors.Is(err, fs.ErrPermission) && known && owner != os.Geteuid() && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("store %s: the folder belongs to another user (uid %d), as the mount point of a volume may, and only its owner can keep others out: name a folder inside it, such as %s, which is made then", dir, owner, filepath.Join(dir, "djoser"))
	}
	return folderError(dir, err)
}

// checkFolder looks what a folder holds. It refuses one that isn't ours, or whose
// files Badger would delete. It changes nothing.
func checkFolder(dir string) (folder, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return folder{}, folderError(dir, err)
	}
	var marker, draft, manifest bool
	var foreign, database, table string
	for _, e := range entries {
		switch name := e.Name(); {
		case name == markerFile:
			marker = true
		case name == markerDraft:
			draft = true
		case name == lostAndFound:
		case name == badger.ManifestFilename:
			manifest, database = true, name
		case filepath.Ext(name) == ".sst":
			table = name
		case slices.Contains(files, name) || slices.Contains(extensions, filepath.Ext(name)):
			database = name
		default:
			foreign = name
		}
	}
	if draft && table == "" {
		database = "" // ours: its creation was interrupted
	}
	switch {
	case !marker && foreign != "":
		return folder{}, fmt.Errorf("store %s: the folder holds %s, which is not part of a store: name an empty folder, or one that doesn't exist yet", dir, foreign)
	case !marker && cmp.Or(table, database) != "":
		return folder{}, noMarkerError(dir, cmp.Or(table, database))
	case !marker:
		return folder{isNew: true}, nil
	case !manifest:
		return folder{}, damaged(dir, badger.ManifestFilename, "it is missing")
	}
	schema, err := readMarker(dir)
	return folder{schema: schema}, err
}

// readMarker returns the schema of a store.
func readMarker(dir string) (schema int, err error) {
	text, err := os.ReadFile(filepath.Join(dir, markerFile))
	if err != nil {
		return 0, folderError(dir, err)
	}
	if _, err := fmt.Sscanf(string(text), markerText, &schema); err != nil || schema < 1 {
		return 0, damaged(dir, markerFile, "it doesn't say which schema the store has")
	}
	if schema > schemaVersion {
		return 0, fmt.Errorf("store %s has schema %d, this version of the module knows %d: it was written by a newer version, use that one", dir, schema, schemaVersion)
	}
	return schema, nil
}

func noMarkerError(dir, file string) error {
	return fmt.Errorf("store %s: the folder holds a Badger database (%s), but not the file %s of this module: name another folder, or restore that file if it was lost", dir, file, markerFile)
}

// files and extensions are the names of the files that a database may consist of
// if its creation was interrupted. Needless ones are of earlier versions, and of Badger:
// without encryption and value log they have nothing.
var (
	files      = append([]string{lockFile, journal.Folder, asideFolder, "probe", "MANIFEST-REWRITE"}, needless...)
	needless   = []string{"LOCK", "KEYREGISTRY", "REWRITE-KEYREGISTRY", "DISCARD", "ballast"}
	extensions = []string{".mem", ".vlog"}
)

// lostAndFound is a folder that new file systems have.
const lostAndFound = "lost+found"

// markerDraft is the marker of a store that is being created. It is written
// before Badger's files, to tell them from those of another program.
const markerDraft = markerFile + ".new"

func draftMarker(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, markerDraft), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return folderError(dir, err)
	}
	_, err = fmt.Fprintf(f, markerText, schemaVersion)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return folderError(dir, err)
	}
	return nil
}

// finishMarker renames the draft to the marker.
func finishMarker(dir string) error {
	if err := os.Rename(filepath.Join(dir, markerDraft), filepath.Join(dir, markerFile)); err != nil {
		return err
	}
	return atomicfile.SyncFolder(dir)
}

// load reads the state that is kept in memory, and gives a new store its key.
func (s *database) load() error {
	s.signature = ""
	if err := s.view(context.Background(), s.loadState); err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	if s.linkKey != nil {
		return nil
	}
	s.history = newHistory()
	key := records.NewLinkKey()
	b := s.newBatch()
	if b.refused != nil {
		return b.refused
	}
	b.set(records.LinkKeyKey, key, 0)
	b.accept()
	if err := b.commit(); err != nil {
		return fmt.Errorf("store %s: %w", s.dir, err)
	}
	s.linkKey = key
	return nil
}

// fixModes denies other users access to the files.
func (s *database) fixModes() {
	if runtime.GOOS == "windows" {
		return
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.log.Warn("reading the store's folder", zap.String("folder", s.dir), zap.Error(err))
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
			continue
		}
		err = os.Chmod(filepath.Join(s.dir, e.Name()), 0o600)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("protecting a file of the store", zap.String("file", e.Name()), zap.Error(err))
		}
	}
}
