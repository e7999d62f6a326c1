// Demo runs img2lambda on a small image made of the example's files, with a
// Lambda API on loopback: no AWS account is needed, and Docker only if it is
// there. It is what `make demo` runs, from the top of the repository.
package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
)

// layers of the image: from the example's directory to the image's. The last
// one is the function.
var layers = []struct{ from, to string }{
	{"example/runtime", "opt"},
	{"example/deploy", "opt/doc"},
	{"example/src", "var/task/src"},
}

const program = "./bin/local/img2lambda"

func main() {
	if err := demo(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo() error {
	dir, err := os.MkdirTemp("", "img2lambda-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	image, err := makeImage(dir)
	if err != nil {
		return err
	}
	fmt.Println("\n# What Lambda layers does the image make? A dry run shows, and leaves the zips.")
	if err := run(program, "--image", image, "--dry-run"); err != nil {
		return err
	}
	fmt.Println()
	if err := run("ls", "-l", "output"); err != nil {
		return err
	}

	api := fakelambda.New(fakelambda.WithS3(gofakes3.New(s3mem.New()).Server()))
	url := api.Start()
	defer api.Close()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_REGION": "us-east-1",
	} {
		os.Setenv(name, value)
	}
	fmt.Printf("\n# Publish them, to a Lambda API on this machine (AWS_ENDPOINT_URL=%s).\n", url)
	if err := run(program, "--image", image); err != nil {
		return err
	}
	fmt.Println()
	if err := run("cat", "output/layers.json"); err != nil {
		return err
	}
	published := len(api.Versions())
	fmt.Println("\n# Once more: Lambda has them all, so nothing is published.")
	if err := run(program, "--image", image); err != nil {
		return err
	}
	if again := len(api.Versions()); again != published {
		return fmt.Errorf("the second run published %d layers", again-published)
	}
	fmt.Printf("\n# The API has %d layer versions, as before the second run.\n", published)
	return nil
}

// run shows a command and what it prints.
func run(name string, args ...string) error {
	fmt.Printf("$ %s %s\n", strings.TrimPrefix(name, "./bin/local/"), strings.Join(args, " "))
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c.Run()
}

// makeImage makes the image and returns what img2lambda is to call it.
func makeImage(dir string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if exec.CommandContext(ctx, "docker", "version").Run() == nil {
		return "img2lambda-demo", build(dir)
	}
	fmt.Println("# No Docker engine answers here: the image is an OCI archive.")
	archive := filepath.Join(dir, "demo.tar")
	var tars [][]byte
	for _, l := range layers {
		entries, err := tree(l.from, l.to)
		if err != nil {
			return "", err
		}
		tars = append(tars, imagetest.Tar(entries...))
	}
	image := imagetest.Image(imagetest.Options{OCI: true, Compression: imagetest.Gzip}, tars...)
	return "oci-archive:" + archive, imagetest.WriteOCIArchive(archive, "latest", image)
}

// build makes the image with the Docker engine.
func build(dir string) error {
	dockerfile := "FROM scratch\n"
	for _, l := range layers {
		dockerfile += "COPY " + strings.TrimPrefix(l.from, "example/") + " /" + l.to + "\n"
	}
	name := filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(name, []byte(dockerfile), 0o644); err != nil {
		return err
	}
	context := filepath.Join(dir, "context")
	for _, l := range layers {
		if err := os.CopyFS(filepath.Join(context, filepath.Base(l.from)), os.DirFS(l.from)); err != nil {
			return err
		}
	}
	fmt.Println(dockerfile)
	return run("docker", "build", "--quiet", "--tag", "img2lambda-demo", "--file", name, context)
}

// tree returns the files of a directory as entries of a layer.
func tree(from, to string) (entries []imagetest.Entry, err error) {
	err = filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		options := []imagetest.Option{imagetest.Mode(int64(info.Mode().Perm())), imagetest.ModTime(info.ModTime())}
		path := filepath.ToSlash(filepath.Join(to, rel))
		if d.IsDir() {
			entries = append(entries, imagetest.Dir(path+"/", options...))
			return nil
		}
		body, err := os.ReadFile(name)
		entries = append(entries, imagetest.File(path, string(body), options...))
		return err
	})
	return entries, err
}
