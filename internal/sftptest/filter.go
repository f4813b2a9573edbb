package sftptest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxPacket bounds a packet; a client's are far below it.
const maxPacket = 1 << 20

// A filter stands between the client and the server and breaks what it is told
// to break, packet by packet.
type filter struct {
	server  *Server
	conn    net.Conn
	channel ssh.Channel

	mu  sync.Mutex // of writing to the client, and of cut
	cut map[uint32]struct{}
}

// pipe is the server's end.
func (f *filter) pipe(group *sync.WaitGroup) io.ReadWriteCloser {
	f.cut = map[uint32]struct{}{}
	forthOut, forthIn := io.Pipe()
	backOut, backIn := io.Pipe()
	group.Go(func() { _ = forthIn.CloseWithError(f.forth(forthIn)) })
	group.Go(func() { _ = backOut.CloseWithError(f.back(bufio.NewReader(backOut))) })
	return &both{forthOut, backIn}
}

// both is reading from one pipe and writing to another.
type both struct {
	*io.PipeReader
	out *io.PipeWriter
}

func (b *both) Write(p []byte) (int, error) { return b.out.Write(p) }

func (b *both) Close() error {
	_ = b.out.Close()
	return b.PipeReader.Close()
}

// packet reads one packet with its length.
func packet(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n == 0 || n > maxPacket {
		return nil, io.ErrUnexpectedEOF
	}
	all := make([]byte, len(head)+int(n))
	copy(all, head)
	_, err := io.ReadFull(r, all[4:])
	return all, err
}

// id is the number of a request or of its answer.
func id(p []byte) uint32 {
	if len(p) < 9 {
		return 0
	}
	return binary.BigEndian.Uint32(p[5:9])
}

// forth passes on what the client sends.
func (f *filter) forth(server io.Writer) error {
	client := bufio.NewReader(f.channel)
	for {
		p, err := packet(client)
		if err != nil {
			return err
		}
		a := f.server.action(p[4])
		switch {
		case a.CutBefore:
			_ = f.conn.Close()
			return io.ErrUnexpectedEOF
		case a.Drop:
			continue
		case a.Status != 0:
			if err := f.answer(id(p), a.Status); err != nil {
				return err
			}
			continue
		case p[4] == Extended && extension(p) == "fsync@openssh.com":
			code := uint32(Unsupported)
			if f.server.options.Sync {
				code = 0
			}
			if err := f.answer(id(p), code); err != nil {
				return err
			}
			continue
		case a.CutAfter:
			f.mu.Lock()
			f.cut[id(p)] = struct{}{}
			f.mu.Unlock()
		}
		if _, err := server.Write(p); err != nil {
			return err
		}
	}
}

// extension is the name of an extended request.
func extension(p []byte) string {
	if len(p) < 13 {
		return ""
	}
	n := binary.BigEndian.Uint32(p[9:13])
	if uint64(len(p)) < 13+uint64(n) {
		return ""
	}
	return string(p[13 : 13+n])
}

// answer answers a request in the server's place.
func (f *filter) answer(id, code uint32) error {
	body := binary.BigEndian.AppendUint32([]byte{status}, id)
	body = binary.BigEndian.AppendUint32(body, code)
	body = appendText(appendText(body, "told to"), "")
	return f.write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
}

func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...)
}

// write writes a packet to the client.
func (f *filter) write(p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.channel.Write(p)
	return err
}

// back passes on what the server answers.
func (f *filter) back(server io.Reader) error {
	for {
		p, err := packet(server)
		if err != nil {
			return err
		}
		if p[4] == Version {
			p = f.version(p)
		} else {
			f.mu.Lock()
			_, cut := f.cut[id(p)]
			f.mu.Unlock()
			if cut {
				_ = f.conn.Close()
				return io.ErrUnexpectedEOF
			}
		}
		if err := f.write(p); err != nil {
			return err
		}
	}
}

// version says which extensions there are.
func (f *filter) version(p []byte) []byte {
	body := append([]byte(nil), p[4:9]...)
	if f.server.options.Sync {
		body = appendText(appendText(body, "fsync@openssh.com"), "1")
	}
	if !f.server.options.NoPosixRename {
		body = appendText(appendText(body, "posix-rename@openssh.com"), "1")
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}
