package mllp

import (
	"errors"

	"github.com/plexus-health/plexus/connectors"
	"github.com/plexus-health/plexus/message"
)

// The commit blocks of release 2 (ANSI/HL7 V3 TRMLLP R2-2006, 2.1): each block
// of content is answered by one of them before anything else is sent that way.
// They say whether the content was stored, nothing of what it means.
const (
	stored    byte = 0x06
	notStored byte = 0x15
)

// resendsMost is how often an answer is sent again to a peer that could not
// store it.
const resendsMost = 2

func checkRelease(p *connectors.Problems, release int) {
	if release != 1 && release != 2 {
		p.Add("release", "%d is not known; known: 1, 2", release)
	}
}

// commitBlock is a block in its frame.
func commitBlock(what byte) []byte { return []byte{startByte, what, endByte, carriageReturn} }

// isCommit reports whether a frame is a commit block.
func isCommit(f frame) bool {
	return f.damage == nil && f.stream == nil && len(f.raw) == 1 && (f.raw[0] == stored || f.raw[0] == notStored)
}

// commit tells the peer whether its content was stored, in release 2.
func (c *connection) commit(what byte) bool {
	if c.run.options.Release != 2 {
		return true
	}
	answer := c.out
	c.out = commitBlock(what)
	ok := c.flush()
	c.out = answer
	return ok
}

// commitOfPeer takes what the peer says of our last answer: one that it could
// not store is sent again, a few times. It reports whether the connection goes on.
func (c *connection) commitOfPeer(f frame) bool {
	if f.raw[0] == stored || len(c.out) == 0 {
		return true
	}
	c.run.env.Count("answer-not-stored", 1)
	if c.resends == resendsMost {
		if _, again := c.told["answer-not-stored"]; !again {
			c.told["answer-not-stored"] = struct{}{}
			c.log.Warn("the peer could not store an answer, it is not sent again; only the first of a connection is logged")
		}
		return true
	}
	c.resends++
	return c.flush()
}

// errNotStored is why a receiver gets a message again later.
var errNotStored = errors.New("the receiver says that it could not store the message (15)")

// committed is the second half of an exchange in release 2: the commit block of
// the message, then its answer, which is committed in turn. A receiver that
// answers without a commit block is taken at its word.
func (c *Client) committed(raw []byte, wait func([]byte) bool) ([]byte, error) {
	for again := 0; ; {
		reply, err := c.answer()
		if err != nil {
			return reply, err
		}
		if !isCommit(frame{raw: reply}) {
			c.count("commit-missing", 1)
			return c.rest(reply, wait)
		}
		if reply[0] == stored {
			break
		}
		c.count("not-stored", 1)
		if again == c.retries {
			return nil, &message.Failure{Kind: message.Busy, Err: errNotStored}
		}
		again++
		if err := c.put(raw); err != nil {
			return nil, err
		}
	}
	if c.bare {
		return nil, nil
	}
	reply, err := c.answer()
	if err != nil {
		return reply, err
	}
	return c.rest(reply, wait)
}

// rest commits an answer, and those that wait asks for behind it. The answer that
// ends the send counts, whether or not the receiver hears that it was stored.
func (c *Client) rest(reply []byte, wait func([]byte) bool) ([]byte, error) {
	for {
		if isCommit(frame{raw: reply}) {
			return reply, &message.Failure{Kind: message.Unreadable, Err: errors.New("a commit block came where an answer was due")}
		}
		_, err := c.conn.Write(commitBlock(stored))
		if wait == nil || !wait(reply) {
			if err != nil {
				_ = c.Close() // the next message needs another connection
			}
			return reply, nil
		}
		if err != nil {
			return reply, &message.Failure{Kind: message.Unknown, Err: err}
		}
		if reply, err = c.answer(); err != nil {
			return reply, err
		}
	}
}
