package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/caddy-djoser/djoser/model"
	"github.com/caddy-djoser/djoser/stores/badger/sst"
	"go.uber.org/zap"
)

// faultError is a fault of the store. From then on the store refuses changes. It
// is opened again when the cause may be gone, unless a file is damaged.
type faultError struct {
	text    string
	damaged bool
}

func (e *faultError) Error() string { return e.text }

// Is reports that the error is model.ErrUnavailable.
func (e *faultError) Is(target error) bool { return target == model.ErrUnavailable }

// whole returns the fault of the store, if any.
func (s *database) whole() error {
	if f := s.fault.Load(); f != nil {
		return f
	}
	return nil
}

// fail records a fault that may pass, such as an error of the disk. Only the
// first fault is kept.
func (s *database) fail(format string, args ...any) error {
	return s.record(&faultError{text: "store " + s.dir + ": " + fmt.Sprintf(format, args...)})
}

// failDamaged records that a file of the store is damaged. What can be read still
// is, and nothing is said not to exist that may be in a damaged block.
func (s *database) failDamaged(damage error) error {
	return s.record(&faultError{fmt.Sprintf("store %s: %v: stop Caddy, and %s", s.dir, damage, repairAdvice(s.dir)), true})
}

// fileError explains an error of opening the store's files.
func (s *database) fileError(err error) error {
	if damage, ok := errors.AsType[*sst.DamageError](err); ok {
		return damaged(s.dir, damage.File, damage.Reason)
	}
	return folderError(s.dir, err)
}

// noteDamage makes an error of a read a fault of the store if it is of its files.
func (s *database) noteDamage(err error) error {
	if damage, ok := errors.AsType[*sst.DamageError](err); ok {
		return s.failDamaged(damage)
	}
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return s.fail("reading %s: %v", filepath.Base(file.Path), file.Err)
	}
	return err
}

func (s *database) record(f *faultError) error {
	if s.fault.CompareAndSwap(nil, f) {
		s.log.Error("the store has a fault: no changes are made to it", zap.Error(f))
		s.reportFault(f)
	}
	return s.fault.Load()
}

// OnFault implements FaultStore.
func (s *database) OnFault(fn func(error)) {
	s.onFault.Store(&fn)
	if err := s.whole(); err != nil {
		fn(err)
	}
}

// reportFault reports a fault, or nil when the store works again.
func (s *database) reportFault(fault error) {
	if fn := s.onFault.Load(); fn != nil {
		(*fn)(fault)
	}
}

// catch turns a panic into a fault.
func (s *database) catch(err *error) {
	if r := recover(); r != nil {
		s.log.Error("the store panicked", zap.Any("panic", r), zap.Stack("stack"))
		*err = s.fail("it panicked")
	}
}

// reopenPause is how long a store with a fault isn't opened again.
const reopenPause = 5 * time.Second

// errBusy is returned while the files haven't been closed.
var errBusy = errors.New("it is still being closed")

// mend opens the store again after a fault that may have passed.
func (s *database) mend() {
	f := s.fault.Load()
	if f == nil || f.damaged {
		return
	}
	if !sameFolder(s.dir, s.locked) {
		return // another folder has its name, or none
	}
	if err := s.reopen(); err != nil {
		s.log.Warn("opening the store again failed", zap.Error(err))
		return
	}
	s.log.Info("the store works again", zap.NamedError("after", f))
}

func (s *database) reopen() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.shut(); err != nil {
		return err
	}
	if err := s.space.probe(); err != nil {
		return err
	}
	acknowledged := s.committed.Load()
	if err := s.start(); err != nil {
		return err
	}
	if last := s.committed.Load(); last < acknowledged {
		s.fault.Store(nil) // another one takes its place
		s.failDamaged(fmt.Errorf("changes %d to %d are missing", last+1, acknowledged))
		return errors.New("changes are missing")
	}
	s.fault.Store(nil)
	s.reportFault(nil)
	return nil
}

// shut closes the tables and the journal, if they are open. It is called with writing
// locked. It returns errBusy if the disk hangs.
func (s *database) shut() error {
	s.beginShut()
	if s.closingEngine == nil {
		return nil
	}
	select {
	case err := <-s.closingEngine:
		s.closingEngine = nil
		return err
	case <-time.After(reopenPause):
		return errBusy
	}
}

func (s *database) beginShut() {
	e := s.engine.Load()
	if e == nil {
		return
	}
	s.changing.Lock()
	s.engine.Store(nil)
	s.changing.Unlock()
	s.closingEngine = make(chan error, 1)
	go func() { s.closingEngine <- e.close() }()
}

// interrupted returns why a long read must end, or nil.
func (s *database) interrupted() error {
	if s.closed.Load() {
		return model.ErrClosed
	}
	if f := s.fault.Load(); f != nil && !f.damaged {
		return f
	}
	return nil
}

// closeLimit is how long Close waits. What it waits for goes on, until the process
// ends at the latest: the journal has all changes.
const closeLimit = 10 * time.Second

// Close implements Store.
func (s *database) Close() error {
	var err error
	s.closing.Do(func() {
		s.closed.Store(true)
		close(s.stop)
		done := make(chan error, 1)
		go func() { done <- s.finish() }()
		select {
		case err = <-done:
		case <-time.After(closeLimit):
			err = errBusy
		}
		if err != nil {
			err = fmt.Errorf("closing store %s: %w", s.dir, plainError(err))
		}
	})
	return err
}

// finish writes what is in memory to tables and closes all files, however long that
// takes.
func (s *database) finish() error {
	<-s.stopped
	s.writing.Lock() // wait for a caller that writes
	defer s.writing.Unlock()
	if e := s.engine.Load(); e != nil && s.whole() == nil {
		if err := e.flush(); err != nil {
			s.log.Warn("the last changes are in the journal alone", zap.String("store", s.dir), zap.Error(err))
		}
	}
	s.beginShut()
	var err error
	if s.closingEngine != nil {
		err = <-s.closingEngine
	}
	s.fixModes()
	return errors.Join(err, s.lock.Unlock())
}
