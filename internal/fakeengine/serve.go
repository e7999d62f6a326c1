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
	ca := newAuthority(t)
	certPath = t.TempDir()
	cert, key := ca.issue(t, "client", x509.ExtKeyUsageClientAuth)
	for name, content := range map[string][]byte{"ca.pem": ca.pem, "cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(certPath, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server, err := tls.X509KeyPair(ca.issue(t, "localhost", x509.ExtKeyUsageServerAuth))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	return "tcp://" + e.serve(t, listen(t), &tls.Config{
		Certificates: []tls.Certificate{server},
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

// authority is a certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	template := template("test authority")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, encode("CERTIFICATE", der)}
}

// issue returns a certificate for loopback and its key, both PEM.
func (a *authority) issue(t testing.TB, name string, usage x509.ExtKeyUsage) (cert, key []byte) {
	t.Helper()
	template := template(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	private := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	rawKey, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", rawKey)
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(time.Hour),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(block string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: block, Bytes: der})
}
