package main

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// licenseName matches the files in which modules have their license and what
// goes with it.
var licenseName = regexp.MustCompile(`(?i)^((un)?licen[cs]e|copying|notice|patents)([._-].*)?$`)

// A goPackage is a package that is in a program.
type goPackage struct{ module, version, root, dir string }

// notices returns the licenses of all that is in the programs besides their own
// code: the modules' and Go's. A license in a subdirectory is of what lies below
// it, and is there if that is in a program.
func notices(programs []string) ([]byte, error) {
	targets, err := targetsOf(programs)
	if err != nil {
		return nil, err
	}
	packages, err := packagesOf(targets)
	if err != nil {
		return nil, err
	}
	goroot, err := goOutput(nil, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	root := strings.TrimSpace(goroot)
	packages = append(packages, goPackage{"The Go standard library", runtime.Version(), root, root})

	licenses := make(map[string]map[string]bool) // paths of files by module
	for _, p := range packages {
		title := strings.TrimSpace(p.module + " " + p.version)
		if licenses[title] == nil {
			licenses[title] = make(map[string]bool)
		}
		if err := addLicenses(licenses[title], p); err != nil {
			return nil, err
		}
	}
	return format(licenses)
}

// addLicenses adds the license files of a package's directory and of those
// above it, up to the module's.
func addLicenses(found map[string]bool, p goPackage) error {
	for dir := p.dir; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Type().IsRegular() && licenseName.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" {
				found[filepath.Join(dir, e.Name())] = true
			}
		}
		if dir == p.root {
			return nil
		}
		if len(dir) < len(p.root) {
			return fmt.Errorf("%s is not below %s", p.dir, p.root)
		}
	}
}

// format writes each text once, below all the modules that have it.
func format(licenses map[string]map[string]bool) ([]byte, error) {
	modules := make(map[string][]string) // by text
	for title, files := range licenses {
		if len(files) == 0 {
			return nil, fmt.Errorf("%s has no license file", title)
		}
		for name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			text = bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
			if of := modules[string(text)]; !slices.Contains(of, title) {
				modules[string(text)] = append(of, title)
			}
		}
	}
	var parts []string
	for text, of := range modules {
		slices.Sort(of)
		parts = append(parts, strings.Join(of, "\n")+"\n\n"+text+"\n")
	}
	slices.Sort(parts)
	rule := "\n" + strings.Repeat("-", 80) + "\n\n"
	return []byte("img2lambda contains the following, each under the terms below its name.\n" + rule + strings.Join(parts, rule)), nil
}

// targetsOf returns the environment that each program was built with.
func targetsOf(programs []string) (targets [][]string, err error) {
	for _, program := range programs {
		info, err := buildinfo.ReadFile(program)
		if err != nil {
			return nil, err
		}
		var env []string
		for _, s := range info.Settings {
			if s.Key == "GOOS" || s.Key == "GOARCH" || s.Key == "CGO_ENABLED" {
				env = append(env, s.Key+"="+s.Value)
			}
		}
		targets = append(targets, env)
	}
	return targets, nil
}

// packagesOf returns the packages of other modules that the program needs on
// any of the targets.
func packagesOf(targets [][]string) (packages []goPackage, err error) {
	const line = "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}"
	for _, env := range targets {
		out, err := goOutput(env, "list", "-deps", "-f", line, ".")
		if err != nil {
			return nil, err
		}
		for s := bufio.NewScanner(strings.NewReader(out)); s.Scan(); {
			if f := strings.Split(s.Text(), "\t"); len(f) == 4 {
				packages = append(packages, goPackage{f[0], f[1], f[2], f[3]})
			}
		}
	}
	return packages, nil
}

func goOutput(env []string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("go %s: %w: %s", args[0], err, bytes.TrimSpace(exit.Stderr))
	}
	return string(out), err
}
