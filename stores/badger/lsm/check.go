package lsm

import "errors"

// Check reads all tables anew, and returns a *sst.DamageError if one is damaged. It
// ends when interrupted returns an error.
func (t *Tree) Check(interrupted func() error) error {
	s := t.acquire()
	if s == nil {
		return ErrClosed
	}
	defer t.release(s)
	return t.check(s, interrupted)
}

// Check is as Tree.Check, for the snapshot's tables.
func (s *Snapshot) Check(interrupted func() error) error { return s.tree.check(s.state, interrupted) }

func (t *Tree) check(s *state, interrupted func() error) error {
	for _, one := range s.all() {
		if err := interrupted(); err != nil {
			return err
		}
		opened, err := t.openFile(one.name())
		if err != nil {
			return err
		}
		if err := errors.Join(opened.Check(), opened.Close()); err != nil {
			return err
		}
	}
	return nil
}
