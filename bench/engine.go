package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// noEngine says why there is no Docker engine; it is empty if there is one.
func noEngine(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if exec.CommandContext(ctx, "docker", "version").Run() != nil {
		return "no Docker engine answers"
	}
	// The program knows DOCKER_HOST and no contexts.
	host, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	if err == nil {
		os.Setenv("DOCKER_HOST", string(bytes.TrimSpace(host)))
	}
	return ""
}

// load gives an image to the Docker engine, until unload is called.
func (b *bench) load(i *image) (unload func(), err error) {
	out, err := exec.CommandContext(b.ctx, "docker", "load", "--input", i.archive).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("docker load: %w: %s", err, out)
	}
	return func() { _ = exec.Command("docker", "rmi", i.name).Run() }, nil
}

// fromEngine is point 1: a dry run against reading the image.
func fromEngine(b *bench) ([]row, error) {
	if why := noEngine(b.ctx); why != "" {
		return skipped(why), nil
	}
	img, err := b.typical()
	if err != nil {
		return nil, err
	}
	unload, err := b.load(img)
	if err != nil {
		return nil, err
	}
	defer unload()
	x, y, _, err := b.compare(b.dryRun(img.name), func() (usage, error) {
		return measure(exec.CommandContext(b.ctx, "docker", "save", img.name))
	})
	if err != nil {
		return nil, err
	}
	return []row{{"268 MB image in the Docker engine; docker save", seconds(x), seconds(y), ratio(x / y), "<= 1.25"}}, nil
}
