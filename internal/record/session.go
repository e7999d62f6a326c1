package main

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakeengine"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// The terminal has as many columns as a README's width holds in letters of 15 px.
const columns, rows = 94, 60

// session is what runs in the terminal: the first run publishes, the second finds
// that there is nothing to publish.
const session = `
for again in no yes; do
	printf '\e[32m$\e[m \e[1mimg2lambda -i my-app\e[m\n'
	img2lambda -i my-app || exit
	if [ $again = no ]; then echo; fi
done
touch done
cat # keeps the terminal open
`

// A screen is what a terminal shows, with escape sequences for colours, and for how
// long.
type screen struct {
	text string
	time time.Duration
}

// perform runs the session with the program in a directory, and returns what was on
// the screen, one after the other.
func perform(program string) ([]screen, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "img2lambda-record-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	engine := httptest.NewServer(slow(fakeengine.New(fakeengine.Options{}, imagetest.Ref{Name: "my-app", Content: myApp()})))
	defer engine.Close()
	lambda := httptest.NewServer(slow(fakelambda.New()))
	defer lambda.Close()
	// Nothing of the user's own settings.
	env := slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "AWS_") || strings.HasPrefix(s, "DOCKER_") || strings.HasPrefix(s, "TMUX")
	})
	env = append(env, "PATH="+program+":"+os.Getenv("PATH"), "HOME="+dir, "LC_ALL=C.UTF-8",
		"DOCKER_HOST=tcp://"+engine.Listener.Addr().String(), "AWS_ENDPOINT_URL="+lambda.URL, "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=none", "AWS_SECRET_ACCESS_KEY=none")

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // what takes longer hangs
	defer cancel()
	tmux := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "tmux", append([]string{"-f", "/dev/null", "-S", filepath.Join(dir, "tmux")}, args...)...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("tmux %s: %w: %s", args[0], err, out)
		}
		return string(out), err
	}
	if _, err := tmux("new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows), "bash", "-c", session); err != nil {
		return nil, err
	}
	defer tmux("kill-server") //nolint:errcheck // it may have ended by itself
	return watch(tmux, filepath.Join(dir, "done"))
}

// watch notes what is on the screen until there is a file, and what is there then.
func watch(tmux func(...string) (string, error), done string) (screens []screen, err error) {
	const interval = 250 * time.Millisecond
	for {
		_, missing := os.Stat(done)
		if missing != nil && !errors.Is(missing, os.ErrNotExist) {
			return nil, missing
		}
		text, err := tmux("capture-pane", "-pe")
		if err != nil {
			return nil, err
		}
		text = strings.TrimRight(text, "\n")
		if n := len(screens); n > 0 && screens[n-1].text == text {
			screens[n-1].time += interval
		} else if text != "" {
			screens = append(screens, screen{text, interval})
		}
		if missing == nil {
			screens[len(screens)-1].time = 6 * time.Second
			return screens, nil
		}
		time.Sleep(interval)
	}
}
