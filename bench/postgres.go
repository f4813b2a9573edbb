package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Cluster is a private PostgreSQL for one run.
type Cluster struct {
	// DSN is how the engine reaches it.
	DSN string

	server *exec.Cmd
	output bytes.Buffer
	done   chan error
}

// ErrNoPostgres says that this machine has no PostgreSQL programs.
var ErrNoPostgres = errors.New("initdb and postgres are not on this machine")

// StartPostgres makes a cluster in folder, with the durability that PostgreSQL
// is delivered with, and serves it on a free port of this machine. As root it
// runs as the user postgres or nobody: PostgreSQL refuses root.
func StartPostgres(ctx context.Context, folder string) (*Cluster, error) {
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(folder, "cluster")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	owner, err := ordinaryUser(folder, data)
	if err != nil {
		return nil, err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "plexus", "-A", "trust", "-E", "UTF8", "--no-locale")
	initdb.SysProcAttr, initdb.Dir = &syscall.SysProcAttr{Credential: owner}, folder
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c := &Cluster{DSN: "postgres://plexus@" + address + "/postgres?sslmode=disable", done: make(chan error, 1)}
	c.server = exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=")
	c.server.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGQUIT}
	c.server.Dir = folder
	c.server.Stdout, c.server.Stderr = &c.output, &c.output
	if err := c.server.Start(); err != nil {
		return nil, err
	}
	go func() { c.done <- c.server.Wait() }()
	return c, c.ready(ctx)
}

// ready waits until a connection can be made.
func (c *Cluster) ready(ctx context.Context) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if conn, err := pgx.Connect(ctx, c.DSN); err == nil {
			return conn.Close(ctx)
		}
		select {
		case err := <-c.done:
			return fmt.Errorf("postgres ended at once: %w\n%s", err, c.output.String())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	_ = c.Stop() // it may have ended already
	return fmt.Errorf("postgres was not ready within 30s\n%s", c.output.String())
}

// CPU is the processor time that all of PostgreSQL's processes have used.
func (c *Cluster) CPU() (time.Duration, error) {
	total, err := processTime(c.server.Process.Pid)
	if err != nil {
		return 0, err
	}
	children, err := childrenOf(c.server.Process.Pid)
	if err != nil {
		return 0, err
	}
	for _, pid := range children {
		if used, err := processTime(pid); err == nil { // it may have ended
			total += used
		}
	}
	return total, nil
}

// Stop ends the cluster.
func (c *Cluster) Stop() error {
	if err := c.server.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case err := <-c.done:
		return err
	case <-time.After(30 * time.Second):
		_ = c.server.Process.Kill() // it may have ended now
		return errors.New("postgres did not end within 30s")
	}
}

// postgresPrograms finds the folder of initdb and postgres: on PATH, or the
// newest of Debian's.
func postgresPrograms() (string, error) {
	if file, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(file), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", ErrNoPostgres
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) })
	return filepath.Dir(newest), nil
}

// release is the number in /usr/lib/postgresql/15/bin/initdb.
func release(file string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(file))))
	if err != nil {
		return 0
	}
	return n
}

// ordinaryUser gives the folders to an ordinary user when we are root.
func ordinaryUser(folders ...string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		if err := os.Chown(folder, int(uid), int(gid)); err != nil {
			return nil, err
		}
		if err := os.Chmod(folder, 0o700); err != nil {
			return nil, err
		}
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// childrenOf lists the processes started by one.
func childrenOf(pid int) ([]int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, field := range strings.Fields(string(data)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, n)
	}
	return pids, nil
}
