package admin

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// bar draws the progress of a long work on a terminal.
type bar struct {
	at   atomic.Pointer[barAt]
	stop chan struct{}
	done chan struct{}
}

type barAt struct {
	phase string
	part  float64 // from 0 to 1
}

// newBar begins to draw if standard error is a terminal.
func (c *cliContext) newBar() *bar {
	b := &bar{stop: make(chan struct{}), done: make(chan struct{})}
	stderr, ok := c.cmd.ErrOrStderr().(*os.File)
	if !ok || !term.IsTerminal(int(stderr.Fd())) {
		close(b.done)
		return b
	}
	go b.draw(stderr)
	return b
}

func (b *bar) set(phase string, part float64) { b.at.Store(&barAt{phase, min(1, part)}) }

func (b *bar) draw(w io.Writer) {
	defer close(b.done)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	const width = 40
	for {
		if at := b.at.Load(); at != nil {
			fmt.Fprintf(w, "\r%-7s [%-*s] %3.0f%%", at.phase, width, strings.Repeat("#", int(at.part*width)), at.part*100)
		}
		select {
		case <-ticker.C:
		case <-b.stop:
			fmt.Fprint(w, "\r\033[K")
			return
		}
	}
}

func (b *bar) end() {
	close(b.stop)
	<-b.done
}

// reading shows how much of a file was read.
type reading struct {
	r     io.Reader
	bar   *bar
	phase string
	read  int64
	size  int64
}

func newReading(f *os.File, b *bar, phase string) io.Reader {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return f
	}
	return &reading{r: f, bar: b, phase: phase, size: info.Size()}
}

// Read implements io.Reader.
func (r *reading) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.read += int64(n)
	r.bar.set(r.phase, float64(r.read)/float64(r.size)) // a file may be read twice
	return n, err
}
