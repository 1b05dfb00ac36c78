//go:build linux

package main

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ways are the ways to damage a file. A way that can't be done returns errNothing.
var ways = []struct {
	name   string
	damage func(file, sibling string) error
}{
	{"flip", flipBit},
	{"zero", zeroPage},
	{"truncate", truncate},
	{"delete", func(file, _ string) error { return os.Remove(file) }},
	{"swap", swap},
}

var errNothing = errors.New("nothing to damage")

const pageSize = 4096

// fullPages returns the offsets of the pages that have something in them, the last of
// which may be short.
func fullPages(file string) (data []byte, pages []int64, err error) {
	data, err = os.ReadFile(file)
	for at := 0; at < len(data); at += pageSize {
		if page := data[at:min(at+pageSize, len(data))]; len(bytes.Trim(page, "\x00")) > 0 {
			pages = append(pages, int64(at))
		}
	}
	if err == nil && pages == nil {
		err = errNothing
	}
	return data, pages, err
}

func writeAt(file string, data []byte, at int64) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, at)
	return errors.Join(err, f.Close())
}

func flipBit(file, _ string) error {
	data, pages, err := fullPages(file)
	if err != nil {
		return err
	}
	at := pages[rand.IntN(len(pages))]
	page := bytes.TrimRight(data[at:min(at+pageSize, int64(len(data)))], "\x00")
	at += rand.Int64N(int64(len(page)))
	return writeAt(file, []byte{data[at] ^ 1<<rand.IntN(8)}, at)
}

func zeroPage(file, _ string) error {
	data, pages, err := fullPages(file)
	if err != nil {
		return err
	}
	at := pages[rand.IntN(len(pages))]
	return writeAt(file, make([]byte, min(pageSize, int64(len(data))-at)), at)
}

// truncate cuts a file to nothing, within its header, or anywhere.
func truncate(file, _ string) error {
	_, pages, err := fullPages(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	end := min(info.Size(), pages[len(pages)-1]+pageSize)
	lengths := []int64{0, min(8, end-1), min(24, end-1), rand.Int64N(end)}
	return os.Truncate(file, lengths[rand.IntN(len(lengths))])
}

func swap(file, sibling string) error {
	if sibling == "" {
		return errNothing
	}
	between := filepath.Join(filepath.Dir(file), "..", "swap")
	return errors.Join(os.Rename(file, between), os.Rename(sibling, file), os.Rename(between, sibling))
}

// kind returns what files of the same kind have in common: their name with # for
// numbers.
func kind(name string) string { return regexp.MustCompile("[0-9]+").ReplaceAllString(name, "#") }

// byKind returns the files of a store by their kind.
func byKind(store string) (map[string][]string, error) {
	names, err := storeFiles(store)
	kinds := make(map[string][]string)
	for name := range names {
		if strings.Contains(name, *files) {
			kinds[kind(name)] = append(kinds[kind(name)], name)
		}
	}
	return kinds, err
}

// damageAll damages each kind of file in each way: in a closed store, after a
// kill, and in an open store.
func (s *scene) damageAll(t table) error {
	if err := s.grow(); err != nil {
		return err
	}
	if err := s.p.close(); err != nil {
		return err
	}
	settled, killed := s.known.copy(), s.path("killed")
	if _, err := command("cp", "-a", s.store, killed); err != nil {
		return err
	}
	p, err := start(killed, s.log(), s.known)
	if err != nil {
		return err
	}
	p.load()
	time.Sleep(2 * time.Second) // some tables wait for a compaction then
	p.kill()
	for _, c := range []struct {
		when, store string
		known       *acked
	}{
		{"closed", s.store, settled},
		{"killed", killed, s.known},
		{"open", killed, s.known},
	} {
		kinds, err := byKind(c.store)
		if err != nil {
			return err
		}
		for _, k := range slices.Sorted(maps.Keys(kinds)) {
			for _, way := range ways {
				if err := interrupted(); err != nil {
					return err
				}
				s := &scene{disk: s.disk, store: s.path("case"), known: c.known.copy()}
				if _, err := command("cp", "-a", c.store, s.store); err != nil {
					return err
				}
				o := new(outcome)
				damaged, err := s.damage(k, way.damage, c.when == "open", o)
				if err == nil && c.when != "open" && slices.Contains([]string{"refused", "UNNAMED"}, o.String()) {
					err = s.putBack(damaged, c.store, o)
				}
				switch {
				case err == nil:
					t.add("damage "+k+" "+way.name, c.when, o)
				case !errors.Is(err, errNothing) && !errors.Is(err, fs.ErrNotExist): // deleted meanwhile
					return err
				}
				if err := os.RemoveAll(s.store); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// grow writes until the store has two tables, so that each can be swapped.
func (s *scene) grow() (err error) {
	if s.p, err = start(s.store, s.log(), s.known); err != nil {
		return err
	}
	s.p.load()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		names, err := storeFiles(s.store)
		if err != nil {
			return err
		}
		tables := 0
		for name := range names {
			if filepath.Ext(name) == ".sst" {
				tables++
			}
		}
		if tables >= 2 {
			return nil
		}
	}
	return errors.New("the store made no two tables in 30 seconds")
}

// damage damages a file of a kind, and checks the store. It returns the names of the
// files that may be damaged.
func (s *scene) damage(kind string, way func(file, sibling string) error, running bool, o *outcome) (names []string, err error) {
	if running {
		if s.p, err = start(s.store, s.log(), s.known); err != nil {
			return nil, err
		}
		defer func() { s.p.kill() }()
		s.p.load()
		time.Sleep(300 * time.Millisecond)
	}
	kinds, err := byKind(s.store)
	if err != nil {
		return nil, err
	}
	names = kinds[kind]
	if len(names) == 0 { // deleted since
		return nil, errNothing
	}
	err = errNothing
	for i := 0; i < len(names) && errors.Is(err, errNothing); i++ { // some are empty
		names[0], names[i] = names[i], names[0]
		sibling := ""
		if len(names) > 1 {
			sibling = filepath.Join(s.store, names[1])
		}
		err = way(filepath.Join(s.store, names[0]), sibling)
	}
	if err != nil {
		return nil, err
	}
	names = names[:min(len(names), 2)]
	if running {
		time.Sleep(2 * time.Second)
		s.p.look(o, s.known)
		if err := s.p.close(); err != nil {
			o.fault(err)
		}
	}
	for range 2 { // the first may spoil more
		if !s.opens(names, o) {
			break
		}
	}
	return names, nil
}

// putBack puts the damaged files of a refused store back as they were. It must be right
// then: to refuse a store must not change it.
func (s *scene) putBack(damaged []string, from string, o *outcome) error {
	for _, name := range damaged {
		if _, err := command("cp", "-a", filepath.Join(from, name), filepath.Join(s.store, name)); err != nil {
			return err
		}
	}
	again := new(outcome)
	if s.opens(damaged, again); again.String() != "right" {
		o.add("SPOILED", "with the file put back: %s; %s", again, strings.Join(again.details, "; "))
	}
	return nil
}

// opens opens a damaged store and checks it. A store that is refused must be so with
// the name of a damaged file.
func (s *scene) opens(damaged []string, o *outcome) bool {
	p, err := start(s.store, s.log(), s.known)
	if err != nil {
		var refused *refusedError
		if !errors.As(err, &refused) {
			o.fault(err)
			return false
		}
		named := slices.ContainsFunc(damaged, func(name string) bool { return strings.Contains(refused.text, filepath.Base(name)) })
		if named {
			o.add("refused", "")
		} else {
			o.add("UNNAMED", "damaged is %s, but: %v", strings.Join(damaged, " or "), refused)
		}
		return false
	}
	p.look(o, s.known)
	p.check(o, "checked")
	if err := p.close(); err != nil {
		o.fault(err)
	}
	if p.logged(filepath.Base(damaged[0])) {
		o.add("logged", "")
	}
	return true
}
