//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	answerLimit = time.Minute
	closeLimit  = 30 * time.Second
)

// acked is what the store acknowledged.
type acked struct {
	lock     sync.Mutex
	accounts map[int]record
	next     int // number of the next account

	// Accounts registered between these times are left out.
	from, to time.Time
}

// record is an account: the last step, and when each was asked for.
type record struct {
	id    uint64
	last  step
	asked [steps]time.Time
}

func newAcked() *acked { return &acked{accounts: make(map[int]record)} }

func (a *acked) add(line string) {
	var (
		n, done int
		id      uint64
		asked   int64
	)
	if _, err := fmt.Sscanf(line, "did %d %d %d %d", &n, &done, &id, &asked); err != nil {
		return // cut off by a kill
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	a.next = max(a.next, n+1)
	r, exists := a.accounts[n]
	at := time.Unix(0, asked)
	if step(done) == registered && a.leavesOut(at) || step(done) != registered && !exists {
		return
	}
	r.id, r.last = id, step(done)
	r.asked[done] = at
	a.accounts[n] = r
}

func (a *acked) leavesOut(asked time.Time) bool { return asked.After(a.from) && asked.Before(a.to) }

// copy returns what was acknowledged until now.
func (a *acked) copy() *acked {
	a.lock.Lock()
	defer a.lock.Unlock()
	return &acked{accounts: maps.Clone(a.accounts), next: a.next}
}

// between counts what was asked for and acknowledged between two times.
func (a *acked) between(from, to time.Time) (count int) {
	a.lock.Lock()
	defer a.lock.Unlock()
	for _, r := range a.accounts {
		for done, asked := range r.asked {
			if step(done) != ending && asked.After(from) && asked.Before(to) {
				count++
			}
		}
	}
	return count
}

// leaveOut drops the accounts that are registered between two times.
func (a *acked) leaveOut(from, to time.Time) {
	a.lock.Lock()
	defer a.lock.Unlock()
	a.from, a.to = from, to
	maps.DeleteFunc(a.accounts, func(_ int, r record) bool { return a.leavesOut(r.asked[registered]) })
}

// process is the child, as seen by its parent.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	log    string // its file
	known  *acked
	said   chan string   // what is no acknowledgement
	deaf   chan struct{} // closed: nobody listens to what is said
	deafen func()
	ended  chan struct{}

	lock     sync.Mutex
	lastFail string // the last error of a change
}

// deadError is the end of a process that should live.
type deadError struct{ text string }

func (e *deadError) Error() string { return e.text }

// refusedError is the store's error when it is opened.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// hungError is an answer that didn't come in time.
type hungError struct{ text string }

func (e *hungError) Error() string { return e.text }

var errCloseFailed = errors.New("closing failed")

// start starts a child, and waits until it has opened the store.
func start(store, logFile string, known *acked) (*process, error) {
	p, err := launch(store, logFile, known)
	if err != nil {
		return nil, err
	}
	line, err := p.answer(time.After(answerLimit))
	if err == nil && line != "open" {
		<-p.ended
		err = &refusedError{strings.TrimPrefix(line, "refused ")}
	}
	if err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// launch starts a child, which opens the store. What it acknowledges is added to known.
func launch(store, logFile string, known *acked) (*process, error) {
	p := &process{
		cmd: exec.Command("/proc/self/exe", "-child", "-dir", store, fmt.Sprintf("-control=%t", *control)), log: logFile, known: known,
		said: make(chan string), deaf: make(chan struct{}), ended: make(chan struct{}),
	}
	p.deafen = sync.OnceFunc(func() { close(p.deaf) })
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stderr = log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.listen(out)
	return p, nil
}

func (p *process) listen(out io.Reader) {
	defer close(p.ended)
	defer p.cmd.Wait()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch word, rest, _ := strings.Cut(lines.Text(), " "); word {
		case "did":
			p.known.add(lines.Text())
		case "failed":
			p.lock.Lock()
			p.lastFail = rest
			p.lock.Unlock()
		default:
			select {
			case p.said <- lines.Text():
			case <-p.deaf:
			}
		}
	}
}

// answer returns the next line that is no acknowledgement.
func (p *process) answer(limit <-chan time.Time) (string, error) {
	select {
	case line := <-p.said:
		return line, nil
	case <-p.ended:
		return "", &deadError{p.death()}
	case <-limit:
		p.deafen()
		return "", &hungError{"no answer in " + answerLimit.String()}
	}
}

func (p *process) tell(format string, args ...any) { fmt.Fprintf(p.in, format+"\n", args...) }

// load starts the load.
func (p *process) load() { p.tell("load %d", p.known.copy().next) }

// failure returns the last error of a change.
func (p *process) failure() string {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.lastFail
}

// lives reports whether the process runs.
func (p *process) lives() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// death says what ended the process.
func (p *process) death() string {
	<-p.ended
	text, _ := os.ReadFile(p.log)
	why := regexp.MustCompile(`(?m)^(panic: |fatal error: |unexpected fault).*`).Find(text)
	where := regexp.MustCompile(`badger[^ /]*/[^ ]+\.go:[0-9]+`).FindAll(text, 3)
	if why != nil {
		return fmt.Sprintf("%s, at %s", why, where)
	}
	return p.cmd.ProcessState.String()
}

// logged reports whether the process logged something about a file.
func (p *process) logged(file string) bool {
	text, _ := os.ReadFile(p.log)
	return strings.Contains(string(text), file)
}

func (p *process) kill() {
	p.deafen()
	p.cmd.Process.Kill()
	<-p.ended
}

// close closes the store, and kills the process if that takes too long.
func (p *process) close() error {
	p.deafen()
	p.tell("close")
	select {
	case <-p.ended:
		switch {
		case p.cmd.ProcessState.Success():
			return nil
		case p.cmd.ProcessState.ExitCode() == closeFailed:
			return errCloseFailed
		}
		return &deadError{p.death()}
	case <-time.After(closeLimit):
		p.kill()
		return &hungError{"not closed in " + closeLimit.String()}
	}
}

// acknowledges reports whether the process acknowledges anything that is asked for
// after now.
func (p *process) acknowledges(limit time.Duration) bool {
	now := time.Now()
	for end := now.Add(limit); time.Now().Before(end) && p.lives(); time.Sleep(100 * time.Millisecond) {
		if p.known.between(now, end) > 0 {
			return true
		}
	}
	return false
}

// look compares what was acknowledged with what the process finds. What was
// acknowledged later may be found, too.
func (p *process) look(o *outcome, known *acked) {
	before := known.copy().accounts
	if err := p.compare(o, before); err != nil {
		o.fault(err)
	}
}

func (p *process) compare(o *outcome, before map[int]record) error {
	limit := time.After(answerLimit)
	go func() { // the child may not read
		var lines strings.Builder
		for n, r := range before {
			fmt.Fprintf(&lines, "look %d %d\n", n, r.id)
		}
		p.tell("%sfound", lines.String())
	}()
	var c comparison
	for {
		line, err := p.answer(limit)
		if err != nil {
			return err
		}
		if line == "end" {
			break
		}
		var n int
		var found string
		if _, err := fmt.Sscanf(line, "found %d %s", &n, &found); err != nil {
			return fmt.Errorf("the child says %q", line)
		}
		p.known.lock.Lock()
		now := p.known.accounts[n]
		p.known.lock.Unlock()
		c.add(n, before[n], now, found)
	}
	c.report(o, len(before))
	return nil
}

// check lets the store check itself, and adds the label if it finds a fault.
func (p *process) check(o *outcome, label string) {
	p.tell("check")
	limit, faults, first := time.After(answerLimit), 0, ""
	for {
		line, err := p.answer(limit)
		if err != nil {
			o.fault(err)
			return
		}
		if line == "end" {
			break
		}
		if faults++; faults == 1 {
			first = strings.TrimPrefix(line, "fault ")
		}
	}
	if faults > 0 {
		o.add(label, "%d faults, such as: %s", faults, first)
	}
}

// comparison counts what isn't as it was acknowledged.
type comparison struct{ lost, revived, freed, failed int }

// add compares an account. Before is what was acknowledged when it was looked for,
// and now what is acknowledged since.
func (c *comparison) add(n int, before, now record, found string) {
	letters := []byte(found)
	wants := func(letter byte) {
		switch letter {
		case missing:
			c.lost++
		case free:
			c.freed++
		case failed:
			c.failed++
		}
	}
	wants(letters[0])
	wants(letters[1])
	wants(letters[2])
	if before.last >= loggedIn {
		wants(letters[3])
	}
	switch {
	case before.last == ended:
		if letters[4] == there {
			c.revived++
		}
	case before.last == again && now.last == again:
		wants(letters[4])
	}
	changed := before.last == ended && changesPassword(n)
	if changed && letters[5] == outdated {
		c.revived++
	}
	if now.last < ending && letters[5] == there { // a password that nobody set
		c.lost++
	}
}

func (c *comparison) report(o *outcome, accounts int) {
	o.accounts = accounts
	if c.lost > 0 {
		o.add("LOST", "%d accounts or tokens lost", c.lost)
	}
	if c.revived > 0 {
		o.add("REVIVED", "%d ended tokens or replaced passwords are valid", c.revived)
	}
	if c.freed > 0 {
		o.add("FREED", "%d names could be registered again", c.freed)
	}
	if c.failed > 0 {
		o.add("loud", "%d reads failed", c.failed)
	}
}

// fault adds the outcome of an error of the process.
func (o *outcome) fault(err error) {
	switch err.(type) {
	case *deadError:
		o.add("DIED", "%v", err)
	case *hungError:
		o.add("HUNG", "%v", err)
	case *refusedError:
		o.add("REFUSED", "%v", err)
	default:
		o.add("loud", "%v", err)
	}
}
