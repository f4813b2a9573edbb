// Package pgtest starts a private PostgreSQL for tests: the machine's own
// programs, a cluster in a temporary folder, an ordinary user, loopback only.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const hint = "PostgreSQL is missing: `make postgres` installs its programs (initdb, postgres)"

// A Cluster is one running server.
type Cluster struct {
	folder string
	port   int
	cmd    *exec.Cmd
}

var shared struct {
	sync.Mutex
	cluster *Cluster
	err     error
	users   int
	count   atomic.Int64
}

// Start returns the address of a fresh database in a cluster that the tests of
// this process share; it ends with the last test that uses it. Where PostgreSQL
// is not installed the test is skipped, and fails when CI=true.
func Start(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = startCluster()
	}
	if errors.Is(shared.err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
		t.Skip(hint)
	}
	if shared.err != nil {
		t.Fatalf("PostgreSQL: %v", shared.err)
	}
	shared.users++
	t.Cleanup(release)
	name := "test" + strconv.FormatInt(shared.count.Add(1), 10)
	if err := shared.cluster.exec("postgres", "CREATE DATABASE "+name); err != nil {
		t.Fatalf("PostgreSQL: %v", err)
	}
	return shared.cluster.DSN(name)
}

// release stops the cluster when nobody uses it any more.
func release() {
	shared.Lock()
	defer shared.Unlock()
	if shared.users--; shared.users == 0 && shared.cluster != nil {
		shared.cluster.Stop()
		shared.cluster = nil
	}
}

// Open starts a cluster of its own, for programs that are no tests.
func Open() (*Cluster, error) { return startCluster() }

// DSN is the address of a database of the cluster.
func (c *Cluster) DSN(name string) string {
	return fmt.Sprintf("postgres://plexus@127.0.0.1:%d/%s?sslmode=disable", c.port, name)
}

// Create makes a database and returns its address.
func (c *Cluster) Create(name string) (string, error) {
	return c.DSN(name), c.exec("postgres", "CREATE DATABASE "+name)
}

func (c *Cluster) exec(database, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// Find returns the path of one of PostgreSQL's programs: on PATH, or in
// Debian's folders.
func Find(program string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + program)
	if err == nil && len(found) > 0 {
		return found[len(found)-1], nil
	}
	return exec.LookPath(program)
}

func startCluster() (*Cluster, error) {
	if _, err := Find("postgres"); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "plexus-pg-")
	if err != nil {
		return nil, err
	}
	c, err := OpenIn(folder)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return c, nil
}

// OpenIn starts a cluster whose files are in a folder, and makes it there if
// there is none: for tests that break the disk below it.
func OpenIn(folder string) (*Cluster, error) {
	postgres, err := Find("postgres")
	if err != nil {
		return nil, err
	}
	c := &Cluster{folder: folder}
	as, err := ordinary(folder)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(folder, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		initdb, err := Find("initdb")
		if err != nil {
			return nil, err
		}
		create := exec.CommandContext(context.Background(), initdb, "-D", data, "-U", "plexus", "-A", "trust", "-E", "UTF8", "--no-locale")
		create.SysProcAttr, create.Dir = as, folder
		if out, err := create.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	var last error
	for range 5 { // the port may be taken between the look and the start
		if c.port, err = freePort(); err != nil {
			return nil, err
		}
		if last = c.start(postgres, data, as); last == nil {
			return c, nil
		}
	}
	return nil, last
}

func (c *Cluster) start(postgres, data string, as *syscall.SysProcAttr) error {
	c.cmd = exec.CommandContext(context.Background(), postgres, "-D", data, "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=200", "-c", "shared_buffers=128MB", "-c", "logging_collector=off", "-c", "log_min_messages=fatal")
	c.cmd.SysProcAttr, c.cmd.Dir = as, c.folder
	if err := c.cmd.Start(); err != nil {
		return err
	}
	var err error
	for range 300 {
		if err = c.exec("postgres", "SELECT 1"); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	c.kill()
	return fmt.Errorf("it did not answer: %w", err)
}

func (c *Cluster) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()         // as it was told
}

// Stop ends the cluster and removes its folder.
func (c *Cluster) Stop() {
	c.Crash()
	_ = os.RemoveAll(c.folder) // a temporary folder
}

// Crash ends the cluster at once, without writing anything, and keeps its folder.
func (c *Cluster) Crash() {
	_ = c.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
	_ = c.cmd.Wait()                          // as it was told
}

// Restart ends the cluster at once and starts it again on the same port.
func (c *Cluster) Restart() error {
	c.Crash()
	postgres, err := Find("postgres")
	if err != nil {
		return err
	}
	as, err := ordinary(c.folder)
	if err != nil {
		return err
	}
	return c.start(postgres, filepath.Join(c.folder, "data"), as)
}

// ordinary prepares to run as an ordinary user: PostgreSQL refuses root.
func ordinary(folder string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() != 0 {
		return attr, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			return nil, err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(folder, uid, gid); err != nil {
			return nil, err
		}
		return attr, nil
	}
	return nil, errors.New("neither user postgres nor nobody is there to run as: PostgreSQL refuses root")
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	address, _ := l.Addr().(*net.TCPAddr)
	return address.Port, l.Close()
}
