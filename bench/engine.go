package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// engine is a Docker engine.
type engine struct {
	host string // as DOCKER_HOST has it; empty for the one that the docker CLI finds
	name string // its version and the driver of its storage
	goal string // for a dry run, as a multiple of docker save
}

// engines finds the one of the docker CLI and those of IMG2LAMBDA_TEST_ENGINES, as
// far as they answer.
func engines(ctx context.Context) (found []engine) {
	for _, host := range append([]string{""}, strings.Fields(os.Getenv("IMG2LAMBDA_TEST_ENGINES"))...) {
		e := engine{host: host}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		out, err := e.docker(ctx, "info", "--format", "{{.ServerVersion}} {{.Driver}} {{.DriverStatus}}").Output()
		cancel()
		if err != nil {
			continue
		}
		version, store, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
		version, _, _ = strings.Cut(version, "+") // Debian adds to it
		driver, status, _ := strings.Cut(store, " ")
		e.name, e.goal = "Docker "+version+", "+driver, "<= 1.20"
		major, _, _ := strings.Cut(version, ".")
		if n, err := strconv.Atoi(major); strings.Contains(status, "io.containerd.snapshotter") {
			e.goal = "<= 1.25"
		} else if err == nil && n > 2 && n < 25 { // before it exports layers as OCI has them
			e.goal = "<= 1.10"
		}
		found = append(found, e)
	}
	return found
}

// docker is a command of the docker CLI for the engine.
func (e engine) docker(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "docker", args...)
	c.Env = append(os.Environ(), e.env()...)
	return c
}

// env has the program, and the docker CLI, take the engine.
func (e engine) env() []string {
	if e.host == "" {
		return nil
	}
	return []string{"DOCKER_HOST=" + e.host}
}

// load gives an image to the engine, until unload is called.
func (e engine) load(ctx context.Context, i *image) (unload func(), err error) {
	out, err := e.docker(ctx, "load", "--input", i.archive).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("docker load: %w: %s", err, out)
	}
	return func() { _ = e.docker(context.Background(), "rmi", i.name).Run() }, nil
}

const noEngine = "no Docker engine answers"

// fromEngine measures a dry run against reading the image, with each engine.
func fromEngine(b *bench) (rows []row, err error) {
	img, err := b.typical()
	if err != nil {
		return nil, err
	}
	for _, e := range engines(b.ctx) {
		unload, err := e.load(b.ctx, img)
		if err != nil {
			return nil, err
		}
		x, y, _, err := b.compare(b.dryRun(img.name, e.env()...), func() (usage, error) {
			return measure(e.docker(b.ctx, "save", img.name))
		})
		unload()
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{e.name + ", 268 MB; docker save", seconds(x), seconds(y), ratio(x / y), e.goal})
	}
	if rows == nil {
		return skipped(noEngine), nil
	}
	return rows, nil
}
