// Package integration runs the program as its users do.
package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/awslabs/aws-lambda-container-image-converter/cli"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/imagetest"
	"github.com/awslabs/aws-lambda-container-image-converter/internal/testrun"
)

var update = flag.Bool("update", false, "write what the programs print into the scripts")

func TestMain(m *testing.M) {
	testscript.Main(withProgram{m}, map[string]func(){
		"img2lambda": func() { os.Exit(cli.Main(context.Background(), os.Args, os.Stdout, os.Stderr)) },
		"interrupt":  interrupt,
		"peak":       peak,
	})
}

// TestScripts runs testdata/*.txtar: the program as a user types it, on a
// machine of its own (see userEnv). Besides what testscript has, a script can
// use the commands below and $ESC, the escape character. Images:
//
//	mkimage [-platform OS/ARCH] [-compression none|gzip|zstd] [-oci] [-damaged N] IMAGE FILE|LAYER...
//		make an image and call it IMAGE. Its layers are in FILE (see parseLayers),
//		or each is an argument, with ; between its entries. With -damaged, the
//		content of layer N is not what the manifest says. Sets IMAGE_id and
//		IMAGE_digest to the digests of config and manifest, IMAGE_id_hex and
//		IMAGE_digest_hex to the same without "sha256:"
//	mkindex [-attest] IMAGE IMAGE...
//		make a multi-platform image. Sets IMAGE_digest, IMAGE_digest_hex
//	mkhostile IMAGE KIND
//		make an image that attacks: see internal/hostile for the kinds. Its layers, as
//		they are stored, are the files 0, 1 and so on in IMAGE.layers
//	write FORMAT PATH [NAME=]IMAGE...
//		write an archive or layout: oci, oci-archive, docker-legacy, docker-oci,
//		docker-containerd or podman
//	cut FILE BYTES, flip FILE BYTE
//		cut the end off a file, change a byte
//
// Servers:
//
//	registry [-tls]
//		start a registry at $REGISTRY; with -tls, its certificate is in registry.pem
//	push NAME IMAGE
//		put an image into it
//	distribution USER PASSWORD [NAME:TAG=IMAGE...]
//		start Debian's docker-registry at $REGISTRY, with TLS (its certificate is in
//		registry.pem) and a user, and put images into it
//	engine [-unix|-tls] [-stall] FORMAT [NAME=]IMAGE...
//		start a Docker engine that exports in one of the formats, and set
//		DOCKER_HOST and what belongs to it, and ENGINE_ADDRESS to the same without
//		its scheme. With -stall, an export hangs after three quarters
//	context NAME HOST [CERTIFICATES]
//		make a docker context, with the certificates in a directory
//	cloud [ACTION...]
//		start Lambda and S3, and set AWS_ENDPOINT_URL and good credentials. Callers
//		may perform these Lambda actions only; without any, the three that the
//		program needs. The keys AKIDEXPIRED and AKIDINVALID are what they say. A
//		page of versions has two; S3 has the bucket "zips"
//	calls list=N get=N publish=N [share=N]
//		fail unless Lambda got so many calls since this was asked last
//	versions
//		print the layer versions that there are: ARN, runtimes, architectures,
//		license, description
//	shared
//		print the layer versions that there are, and the policy of each
//	add-version NAME
//		publish other content under the name
//	fault CALL NAME|any [region=REGION] [times=N] throttle
//	fault CALL NAME|any [region=REGION] [times=N] fail STATUS CODE MESSAGE
//	fault CALL NAME|any [region=REGION] [times=N] cut|hang
//	fault CALL NAME|any [region=REGION] [times=N] delete ARN
//		let calls (list, get, publish, share or any) for a layer fail from now on,
//		close their connections or leave them without an answer, or delete a layer
//		version before they are answered
//	heal
//		end all faults
//	in-order CALL NAME...
//		hold calls for layers back, so that they are answered in this order
//	s3 [may-not-list]
//		print the program's requests to S3 since this was asked last, with the
//		status that they got. With may-not-list, S3 answers from now on as it does
//		to a role that may not list the bucket
//
// Runs and what they leave:
//
//	race
//		from now on img2lambda has the race detector, if the tests have it
//	exits CODE PROGRAM ARG...
//		run a program that has to end with this exit code
//	exec interrupt [-at TEXT] INT|TERM CODE PROGRAM ARG...
//		run a program, send it the signal once it has read a layer, or with -at
//		once it has said this, and fail unless it ends with this exit code
//	exec peak MIB CODE PROGRAM ARG...
//		run a program that has to end with this exit code, and fail if it takes more
//		memory at once
//	holds DIR NAME...
//		fail unless these names, and no others, are in a directory
//	same DIR DIR...
//		fail unless the zips in the directories are the same, byte for byte
//	golden DIR FILE
//		fail unless the zips in DIR have the SHA-256 sums that FILE lists
//	tree ZIP...
//		print what is there once the zips are unzipped one over the other
//	report FILE
//		read a report.json, and fail if two of its layers have one name, or if
//		Lambda does not have what it says is published. Sets for the first layer
//		NAME1, ARN1 (in the first region by name), and the zip's SHA-256 as SUM1 in
//		base64 and HEX1 in hex; NAME2 and so on for the second
//	provenance IMAGE FILE NAMESPACE
//		fail unless the layers of a report.json hold all layers of the image, in
//		their order, and are named by them
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Values[rigKey{}] = &rig{t: e.T().(testing.TB), images: map[string]imagetest.Content{}}
			e.Vars = append(e.Vars, userEnv(e.WorkDir)...)
			e.Vars = append(e.Vars, "ESC=\x1b")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mkimage":   onRig((*rig).mkimage),
			"mkindex":   onRig((*rig).mkindex),
			"mkhostile": onRig((*rig).mkhostile),
			"write":     onRig((*rig).write),
			"cut":       onRig((*rig).cut),
			"flip":      onRig((*rig).flip),

			"registry":     onRig((*rig).startRegistry),
			"push":         onRig((*rig).push),
			"distribution": onRig((*rig).startDistribution),
			"engine":       onRig((*rig).startEngine),
			"context":      onRig((*rig).makeContext),
			"cloud":        onRig((*rig).startCloud),
			"calls":        onCloud((*cloud).calls),
			"versions":     onCloud((*cloud).versions),
			"shared":       onCloud((*cloud).shared),
			"add-version":  onCloud((*cloud).addVersion),
			"fault":        onCloud((*cloud).fault),
			"heal":         onCloud((*cloud).heal),
			"in-order":     onCloud((*cloud).inOrder),
			"s3":           onCloud((*cloud).s3),

			"race":       onRig((*rig).race),
			"exits":      onRig((*rig).exits),
			"holds":      onRig((*rig).holds),
			"same":       onRig((*rig).same),
			"golden":     onRig((*rig).golden),
			"tree":       onRig((*rig).tree),
			"report":     onRig((*rig).report),
			"provenance": onRig((*rig).provenance),
		},
		Condition:           condition,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// condition tells whether the lines of a script after [name] are to be run.
func condition(name string) (bool, error) {
	switch name {
	case "race":
		return raceDetector && testrun.Long, nil
	case "root":
		return os.Getuid() == 0, nil
	case "long":
		return testrun.Long, nil
	case "immutable":
		return canBeImmutable(), nil
	case "awscli":
		_, err := exec.LookPath("aws")
		if err != nil && os.Getenv("IMG2LAMBDA_TEST_AWSCLI") == "required" {
			return false, errors.New("the AWS CLI is not installed, and IMG2LAMBDA_TEST_AWSCLI=required")
		}
		return err == nil, nil
	}
	return false, fmt.Errorf("there is no condition %q", name)
}

// canBeImmutable tells whether files can be made that nobody can move.
func canBeImmutable() bool {
	f, err := os.CreateTemp("", "immutable-")
	if err != nil {
		return false
	}
	f.Close()
	defer os.Remove(f.Name())
	if exec.Command("chattr", "+i", f.Name()).Run() != nil {
		return false
	}
	return exec.Command("chattr", "-i", f.Name()).Run() == nil
}

// rig is what the commands of a script know of each other.
type rig struct {
	t        testing.TB
	images   map[string]imagetest.Content
	registry *registry // the one started last, as is cloud
	cloud    *cloud
}

type rigKey struct{}

// command is a command of scripts.
type command = func(ts *testscript.TestScript, neg bool, args []string)

// onRig adapts a method to what testscript wants of a command.
func onRig(run func(r *rig, ts *testscript.TestScript, args []string)) command {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("! does not go with this command")
		}
		run(ts.Value(rigKey{}).(*rig), ts, args)
	}
}

// onCloud is onRig for commands that come after cloud.
func onCloud(run func(c *cloud, ts *testscript.TestScript, args []string)) command {
	return onRig(func(r *rig, ts *testscript.TestScript, args []string) {
		if r.cloud == nil {
			ts.Fatalf("there is no Lambda: start it with cloud")
		}
		run(r.cloud, ts, args)
	})
}

// parse reads a command's flags and checks the number of its other arguments.
func parse(ts *testscript.TestScript, f *flag.FlagSet, args []string, least, most int) []string {
	f.SetOutput(io.Discard)
	ts.Check(f.Parse(args))
	if f.NArg() < least || f.NArg() > most {
		ts.Fatalf("%d arguments", f.NArg())
	}
	return f.Args()
}

// many is more arguments than a command can have.
const many = 1 << 30
