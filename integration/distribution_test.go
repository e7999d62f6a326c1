package integration

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
)

// startDistribution starts the registry that Docker gave to the CNCF, as Debian's
// package docker-registry has it, with TLS and one user, and puts images into it.
func (r *rig) startDistribution(ts *testscript.TestScript, args []string) {
	args = parse(ts, new(flag.FlagSet), args, 2, many)
	dir := r.t.TempDir()
	passwords, err := exec.Command("htpasswd", "-Bbn", args[0], args[1]).Output()
	ts.Check(err)
	cert, key := certificate(r.t)
	for file, content := range map[string][]byte{"htpasswd": passwords, "cert.pem": cert, "key.pem": key, "config.yml": []byte("version: 0.1\nstorage: {inmemory: {}}\n")} {
		ts.Check(os.WriteFile(filepath.Join(dir, file), content, 0o600))
	}
	ts.Check(os.WriteFile(ts.MkAbs("registry.pem"), cert, 0o644))
	server := exec.Command("docker-registry", "serve", "config.yml")
	server.Dir = dir
	server.Env = []string{
		"OTEL_TRACES_EXPORTER=none",
		"REGISTRY_HTTP_ADDR=127.0.0.1:0",
		"REGISTRY_HTTP_TLS_CERTIFICATE=cert.pem",
		"REGISTRY_HTTP_TLS_KEY=key.pem",
		"REGISTRY_AUTH=htpasswd",
		"REGISTRY_AUTH_HTPASSWD_REALM=test",
		"REGISTRY_AUTH_HTPASSWD_PATH=htpasswd",
	}
	output, err := server.StderrPipe()
	ts.Check(err)
	ts.Check(server.Start())
	r.t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	address := listening(ts, bufio.NewScanner(output))
	ts.Setenv("REGISTRY", address)

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	options := []remote.Option{
		remote.WithAuth(&authn.Basic{Username: args[0], Password: args[1]}),
		remote.WithTransport(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}),
	}
	for _, ref := range r.refs(ts, args[2:]) {
		tag, err := name.NewTag(address + "/" + ref.Name)
		ts.Check(err)
		ts.Check(remote.Write(tag, ref.Content.(v1.Image), options...))
	}
}

// listening reads a registry's log until it says where it listens, and then goes
// on, so that the registry need not wait.
func listening(ts *testscript.TestScript, lines *bufio.Scanner) string {
	address := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	var log bytes.Buffer
	for lines.Scan() {
		if found := address.FindStringSubmatch(lines.Text()); found != nil {
			go func() {
				for lines.Scan() {
				}
			}()
			return found[1]
		}
		log.WriteString(lines.Text() + "\n")
	}
	ts.Fatalf("docker-registry ended: %s", log.String())
	return ""
}

// certificate makes one for 127.0.0.1 that is its own authority.
func certificate(t testing.TB) (cert, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	c, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})
}
