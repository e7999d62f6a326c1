package fakelambda

import (
	"net"
	"time"
)

// slowListener accepts connections that give so many bytes a second.
type slowListener struct {
	net.Listener
	bandwidth int
}

func (l slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{Conn: c, bandwidth: l.bandwidth}, nil
}

// slowConn is read in portions, with a wait before each that pays for the one
// before.
type slowConn struct {
	net.Conn
	bandwidth int
	next      time.Time
}

func (c *slowConn) Read(p []byte) (int, error) {
	time.Sleep(time.Until(c.next))
	n, err := c.Conn.Read(p[:min(len(p), max(c.bandwidth/100, 1))])
	start := time.Now()
	if c.next.Before(start.Add(-time.Second / 10)) { // it was idle
		c.next = start
	}
	c.next = c.next.Add(time.Duration(n) * time.Second / time.Duration(c.bandwidth))
	return n, err
}
