package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// TestSSH guards against engines behind ssh that docker reaches and we do not. An
// sshd on loopback runs docker there, which needs no engine of its own.
func TestSSH(t *testing.T) {
	t.Parallel()
	require(t, "SSHD", "docker")
	port, env := startSSHD(t)
	engine := fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "app", Content: newImage(t, "file opt/a 1")})
	socket := strings.TrimPrefix(engine.StartUnix(t), "unix://")
	host := fmt.Sprintf("ssh://127.0.0.1:%d%s", port, socket)

	dir := t.TempDir()
	want := run{dir: dir, env: append(env, "DOCKER_HOST=unix://"+socket), args: []string{"-d", "-q", "-i", "app", "-o", "want"}}
	want.exits(t, 0)
	got := run{dir: dir, env: append(env, "DOCKER_HOST="+host), args: []string{"-d", "-q", "-i", "app", "-o", "got"}}
	got.exits(t, 0)
	sameZips(t, filepath.Join(dir, "want"), filepath.Join(dir, "got"))

	createContext := exec.Command("docker", "context", "create", "far", "--docker", "host="+host)
	createContext.Env = append(append(userEnv(dir), env...), "DOCKER_HOST=")
	output(t, createContext)
	got.env, got.args = append(env, "DOCKER_CONTEXT=far"), []string{"-d", "-q", "-i", "app", "-o", "context"}
	got.exits(t, 0)
	sameZips(t, filepath.Join(dir, "want"), filepath.Join(dir, "context"))

	got.env = append(env, "DOCKER_HOST=ssh://127.0.0.1:1"+socket)
	got.do(t).oneLine(t, "no Docker engine answers at ssh://127.0.0.1:1"+socket+": ssh says ", "Connection refused")
	got.env = append(env, fmt.Sprintf("DOCKER_HOST=ssh://127.0.0.1:%d/nowhere.sock", port))
	got.do(t).oneLine(t, "/nowhere.sock")
}

// startSSHD starts an sshd that lets in who runs the test, and returns its port.
// The environment has an ssh with a key for it: ssh itself looks for keys where the
// user database says.
func startSSHD(t *testing.T) (port int, env []string) {
	t.Helper()
	const sshd = "/usr/sbin/sshd" // it wants to be called by its full path
	require(t, "SSHD", sshd, "ssh", "ssh-keygen")
	dir := t.TempDir()
	for _, key := range []string{"host", "user"} {
		output(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)))
	}
	if os.Getuid() == 0 {
		// As a service does for sshd. It stays: another run may use it meanwhile.
		_ = os.Mkdir("/run/sshd", 0o755)
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"sshd_config": fmt.Sprintf("HostKey %[1]s/host\nAuthorizedKeysFile %[1]s/user.pub\nStrictModes no\nUsePAM no\n", dir),
		"ssh": fmt.Sprintf("#!/bin/sh\nexec %s -F none -i %s/user -o IdentitiesOnly=yes -o StrictHostKeyChecking=no "+
			"-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \"$@\"\n", ssh, dir),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sessions sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		sessions.Wait()
		if log, err := os.ReadFile(filepath.Join(dir, "log")); t.Failed() {
			t.Logf("sshd: %s, %v", log, err)
		}
	})
	sessions.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer c.Close()
				f, err := c.(*net.TCPConn).File()
				if err != nil {
					return
				}
				defer f.Close()
				session := exec.Command(sshd, "-i", "-f", filepath.Join(dir, "sshd_config"), "-E", filepath.Join(dir, "log"))
				session.Stdin, session.Stdout = f, f
				_ = session.Run() // its end is the client's
			})
		}
	})
	return l.Addr().(*net.TCPAddr).Port, []string{"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH")}
}
