//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// times are processor times so far.
type times struct{ servers, database time.Duration }

func usage(ctx context.Context) times {
	var own syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	return times{time.Duration(own.Utime.Nano() + own.Stime.Nano()), ofPostgres(ctx)}
}

func (t times) minus(before times) times {
	return times{t.servers - before.servers, t.database - before.database}
}

// each tells the times of one of n.
func (t times) each(n int64) string {
	us := func(d time.Duration) int64 { return d.Microseconds() / max(n, 1) }
	return fmt.Sprintf("%d / %d µs", us(t.servers), us(t.database))
}

// ofPostgres returns the processor time of PostgreSQL's processes that serve connections, or zero
// if they aren't on this machine.
func ofPostgres(ctx context.Context) (sum time.Duration) {
	conn, err := pgx.Connect(ctx, *url)
	check(err)
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "select pid from pg_stat_activity where pid <> pg_backend_pid()")
	check(err)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	check(err)
	for _, pid := range pids {
		sum += ofProcess(pid)
	}
	return sum
}

// tick is the unit of /proc/<pid>/stat, USER_HZ.
const tick = 10 * time.Millisecond

func ofProcess(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(stat), "(postgres) ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}
