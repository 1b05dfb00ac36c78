package account

import (
	"testing"
	"time"
)

func TestPaceForgetsABusyMoment(t *testing.T) {
	p := new(pace)
	if p.rest(0) != 0 {
		t.Error("a wait where no hash takes longer")
	}
	p.took(time.Hour)
	if got := p.rest(0); got != maxPace*5/4 {
		t.Errorf("%v", got)
	}
	for range 100 {
		p.took(400 * time.Millisecond)
	}
	if got := p.rest(100 * time.Millisecond); got != 400*time.Millisecond {
		t.Errorf("%v", got)
	}
	if p.rest(time.Second) != 0 {
		t.Error("who took longer waits")
	}
}
