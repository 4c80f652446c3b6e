// A DTLS peer on pion/dtls: peer client|server ADDRESS [FLAG...].
//
// Flags: psk=IDENTITY:HEX, cert=FILE with key=FILE and trust=FILE (PEM), name=SERVER_NAME, suite=HEX,..., cid=LENGTH (the
// connection ID that this side wants; absent: it knows none), mtu=BYTES, no-ems. Standard input: send HEX, rebind (a client
// goes on from another port), again (a client begins another session, resumed if the server lets it), quit. Standard output:
// ready ADDRESS, established SUITE, data HEX, failed REASON, closed REASON.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
)

var printing sync.Mutex

func say(format string, values ...any) {
	printing.Lock()
	defer printing.Unlock()
	fmt.Printf(format+"\n", values...)
}

func check(err error) {
	if err != nil {
		say("failed %v", err)
		os.Exit(1)
	}
}

type flags map[string]string

func configure(flags flags, client bool) *dtls.Config {
	config := &dtls.Config{
		ExtendedMasterSecret: dtls.RequestExtendedMasterSecret,
		FlightInterval:       time.Second,
		ServerName:           flags["name"],
	}
	if _, off := flags["no-ems"]; off {
		config.ExtendedMasterSecret = dtls.DisableExtendedMasterSecret
	}
	if given, ok := flags["psk"]; ok {
		identity, secret, _ := strings.Cut(given, ":")
		key, err := hex.DecodeString(secret)
		check(err)
		config.PSK = func(other []byte) ([]byte, error) {
			if !client && string(other) != identity {
				return nil, fmt.Errorf("unknown identity %q", other)
			}
			return key, nil
		}
		if client {
			config.PSKIdentityHint = []byte(identity)
		}
	}
	if file, ok := flags["cert"]; ok {
		certificate, err := tls.LoadX509KeyPair(file, flags["key"])
		check(err)
		config.Certificates = []tls.Certificate{certificate}
		pem, err := os.ReadFile(flags["trust"])
		check(err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		config.RootCAs, config.ClientCAs = pool, pool
		config.ClientAuth = dtls.RequireAndVerifyClientCert
	}
	if suites, ok := flags["suite"]; ok {
		for _, suite := range strings.Split(suites, ",") {
			number, err := strconv.ParseUint(suite, 16, 16)
			check(err)
			config.CipherSuites = append(config.CipherSuites, dtls.CipherSuiteID(number))
		}
	}
	if length, ok := flags["cid"]; ok {
		size, err := strconv.Atoi(length)
		check(err)
		config.ConnectionIDGenerator = dtls.OnlySendCIDGenerator()
		if size > 0 {
			config.ConnectionIDGenerator = dtls.RandomCIDGenerator(size)
		}
	}
	if bytes, ok := flags["mtu"]; ok {
		size, err := strconv.Atoi(bytes)
		check(err)
		config.MTU = size
	}
	return config
}

// sessions is a store of sessions for one process.
type sessions struct {
	mutex sync.Mutex
	known map[string]dtls.Session
}

func (s *sessions) Set(key []byte, session dtls.Session) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.known[string(key)] = session
	return nil
}

func (s *sessions) Get(key []byte) (dtls.Session, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.known[string(key)], nil
}

func (s *sessions) Del(key []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.known, string(key))
	return nil
}

// moving is a socket that can be exchanged under the session.
type moving struct {
	mutex  sync.Mutex
	socket net.PacketConn
}

func bind() net.PacketConn {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(err)
	return socket
}

func (m *moving) current() net.PacketConn {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.socket
}

func (m *moving) move() {
	m.mutex.Lock()
	old := m.socket
	m.socket = bind()
	m.mutex.Unlock()
	old.Close()
}

func (m *moving) ReadFrom(buffer []byte) (int, net.Addr, error) {
	for {
		socket := m.current()
		n, from, err := socket.ReadFrom(buffer)
		if err == nil || socket == m.current() {
			return n, from, err
		}
	}
}

func (m *moving) WriteTo(buffer []byte, to net.Addr) (int, error) {
	return m.current().WriteTo(buffer, to)
}
func (m *moving) Close() error                        { return m.current().Close() }
func (m *moving) LocalAddr() net.Addr                 { return m.current().LocalAddr() }
func (m *moving) SetDeadline(at time.Time) error      { return m.current().SetDeadline(at) }
func (m *moving) SetReadDeadline(at time.Time) error  { return m.current().SetReadDeadline(at) }
func (m *moving) SetWriteDeadline(at time.Time) error { return m.current().SetWriteDeadline(at) }

func listen(connection net.Conn) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			say("closed %v", err)
			return
		}
		say("data %s", hex.EncodeToString(buffer[:n]))
	}
}

func handshake(connection *dtls.Conn) bool {
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := connection.HandshakeContext(limit); err != nil {
		say("failed %v", err)
		return false
	}
	say("established")
	go listen(connection)
	return true
}

func dial(address string, config *dtls.Config) (*dtls.Conn, *moving) {
	to, err := net.ResolveUDPAddr("udp", address)
	check(err)
	socket := &moving{socket: bind()}
	connection, err := dtls.Client(socket, to, config)
	check(err)
	handshake(connection)
	return connection, socket
}

func main() {
	role, address := os.Args[1], os.Args[2]
	flags := flags{}
	for _, flag := range os.Args[3:] {
		name, value, _ := strings.Cut(flag, "=")
		flags[name] = value
	}
	config := configure(flags, role == "client")
	config.SessionStore = &sessions{known: map[string]dtls.Session{}}
	var connection net.Conn
	var socket *moving
	var current sync.Mutex
	if role == "client" {
		connection, socket = dial(address, config)
	} else {
		at, err := net.ResolveUDPAddr("udp", address)
		check(err)
		listener, err := dtls.Listen("udp", at, config)
		check(err)
		say("ready %v", listener.Addr())
		go func() {
			for {
				accepted, err := listener.Accept()
				if err != nil {
					say("failed %v", err)
					continue
				}
				if handshake(accepted.(*dtls.Conn)) {
					current.Lock()
					connection = accepted
					current.Unlock()
				}
			}
		}()
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		command, rest, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "send":
			bytes, err := hex.DecodeString(rest)
			check(err)
			current.Lock()
			if connection != nil {
				_, err = connection.Write(bytes)
			}
			current.Unlock()
			if err != nil {
				say("failed %v", err)
			}
		case "rebind":
			socket.move()
			say("rebound %v", socket.LocalAddr())
		case "again":
			connection.Close()
			connection, socket = dial(address, config)
		case "quit":
			if connection != nil {
				connection.Close()
			}
			os.Exit(0)
		}
	}
}
