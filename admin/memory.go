package admin

import (
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// workMemory is how many bytes a long work, such as an import or a restore, may add to
// the memory of the process before the garbage collector runs more often. Badger fills a
// large buffer for each new table, and without the limit the heap would grow to several
// times the buffers in use.
const workMemory = 64 << 20

// migrationMemory is the same for a migration, which has two stores open: with workMemory, it
// would take twice the processor time.
const migrationMemory = 128 << 20

// settling is how long the limit stays: Badger goes on in the background, and the next
// phase of an import follows.
const settling = 30 * time.Second

// memoryLimit is the limit of the process while there is such work.
var memoryLimit struct {
	sync.Mutex
	works  int
	before int64 // the limit without them
}

// limitMemory limits what the memory of the process may grow by, until settling after end is
// called.
func limitMemory(by int64) (end func()) {
	l := &memoryLimit
	l.Lock()
	defer l.Unlock()
	if l.works++; l.works == 1 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		l.before = debug.SetMemoryLimit(-1)
		debug.SetMemoryLimit(min(l.before, int64(m.Sys-m.HeapReleased)+by))
	}
	return func() { time.AfterFunc(settling, unlimitMemory) }
}

func unlimitMemory() {
	l := &memoryLimit
	l.Lock()
	defer l.Unlock()
	if l.works--; l.works == 0 {
		debug.SetMemoryLimit(l.before)
	}
}
