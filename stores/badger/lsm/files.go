package lsm

import (
	"io/fs"
	"os"
	"path/filepath"
)

// FetchIndexes starts to read the indexes of the tables, which are at the end of
// each. All of them are needed.
func FetchIndexes(dir string) {
	tables, _ := tablesIn(dir) // what can't be read is reported when it is opened
	for _, t := range tables {
		index := t.Size() / 12 // or a little less
		readAhead(filepath.Join(dir, t.Name()), t.Size()-index, index)
	}
}

// tablesIn returns the tables in a folder, without those deleted meanwhile.
func tablesIn(dir string) ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(dir)
	var tables []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && filepath.Ext(e.Name()) == ".sst" {
			tables = append(tables, info)
		}
	}
	return tables, err
}

// Size returns the size of the tables in a folder.
func Size(dir string) (size int64, err error) {
	tables, err := tablesIn(dir)
	for _, t := range tables {
		size += t.Size()
	}
	return size, err
}
