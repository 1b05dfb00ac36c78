package djoser

import (
	"fmt"
)

// keepHouse works on the store in the background.
func (s *badgerDB) keepHouse() {
	if err := s.verify(); err != nil {
		s.fail("%v: restore the folder from a backup", err)
	}
	<-s.stop
}

// verify reads all tables and compares them with their checksums.
func (s *badgerDB) verify() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a table is damaged")
		}
	}()
	return s.db.VerifyChecksum()
}
