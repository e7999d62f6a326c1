package fakeengine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Start serves the engine on a free port of loopback until the test ends, and
// returns the DOCKER_HOST for it.
func (e *Engine) Start(t testing.TB) string {
	t.Helper()
	return "tcp://" + e.serve(t, listen(t), nil)
}

// StartUnix is Start with a Unix socket.
func (e *Engine) StartUnix(t testing.TB) string {
	t.Helper()
	// Not t.TempDir: the path of a socket has room for about 100 bytes.
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	e.serve(t, l, nil)
	return "unix://" + socket
}

// StartTLS is Start with TLS. The engine demands a certificate of the client;
// certPath is a directory for DOCKER_CERT_PATH, with ca.pem, cert.pem and
// key.pem.
func (e *Engine) StartTLS(t testing.TB) (host, certPath string) {
	t.Helper()
	certPath = t.TempDir()
	cert, key := newCertificate(t)
	for name, content := range map[string][]byte{"ca.pem": cert, "cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(certPath, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(pair.Leaf)
	return "tcp://" + e.serve(t, listen(t), &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientCAs:    clients,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}), certPath
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve serves the engine until the test ends and returns the address.
func (e *Engine) serve(t testing.TB, l net.Listener, config *tls.Config) string {
	server := httptest.NewUnstartedServer(e)
	server.Listener.Close()
	server.Listener = l
	// Clients that break off, or that show no certificate, are what tests are
	// about; nobody reads the log.
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if config != nil {
		server.TLS = config
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections() // Some may be stalled.
		server.Close()
	})
	return l.Addr().String()
}

// newCertificate returns a certificate for loopback and its key, both PEM. It is
// its own authority, and good for both ends of a connection.
func newCertificate(t testing.TB) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "fakeengine"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}
