package admin

import (
	"runtime/debug"
	"testing"
)

func TestTheMemoryLimitEndsWithTheLastWork(t *testing.T) {
	limit := func() int64 { return debug.SetMemoryLimit(-1) }
	before := limit()
	limitMemory(workMemory)
	limited := limit()
	if limited >= before {
		t.Fatalf("limit %d, before %d", limited, before)
	}
	limitMemory(workMemory)
	unlimitMemory()
	if limit() != limited {
		t.Errorf("limit %d during a work, want %d", limit(), limited)
	}
	unlimitMemory()
	if limit() != before {
		t.Errorf("limit %d after all works, want %d", limit(), before)
	}
}
