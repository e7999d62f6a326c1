// Package cli is the command line: flags to options, progress, and the report
// at the end.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/pkg/errors"
	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v3"
)

// Exit codes: failure, wrong usage, and as shells have it for a program ended
// by a signal, 128 and the signal's number.
const (
	exitFailure = 1
	exitUsage   = 2
	exitSignal  = 128
)

// softMemory is from how many bytes on the garbage collector runs more often, so
// that memory stays near what is in use, and does not grow to twice of that. An
// ordinary image needs less.
const softMemory = 96 << 20

// usageError is an error that the user can correct on the command line.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ signal syscall.Signal }

func (i interrupted) Error() string { return i.signal.String() }

// Main runs the program with its arguments, args[0] being its name, and returns
// its exit code. Results go to stdout, all else to stderr. The first interrupt
// lets the program clean up, a second one ends it.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	stderr := &printer{w: errOut}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	logrus.SetOutput(io.Discard) // of containers/image; what matters comes back as errors
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as by nohup, or SIGINT by a script with & at the end
			signal.Notify(signals, s)
		}
	}
	signal.Ignore(syscall.SIGPIPE) // the write fails, and all is cleaned up
	go func() {
		s := <-signals
		signal.Stop(signals)
		cancel(interrupted{s.(syscall.Signal)})
	}()

	var o options
	err := command(&o, args, out, stderr).Run(ctx, args)
	if err == nil {
		return 0
	}
	var i interrupted
	if errors.As(context.Cause(ctx), &i) {
		fmt.Fprintf(stderr, "img2lambda: %s\n", i)
		return exitSignal + int(i.signal)
	}
	if o.debug {
		fmt.Fprintf(stderr, "%+v\n", err)
	}
	fmt.Fprintf(stderr, "img2lambda: %s\n", oneLine(err.Error()))
	var u usageError
	if errors.As(err, &u) {
		fmt.Fprintln(stderr, "Run 'img2lambda --help' for all options.")
		return exitUsage
	}
	return exitFailure
}

// command describes the command line, of which args are for messages. Its action
// fills o.
func command(o *options, args []string, stdout io.Writer, stderr *printer) *cli.Command {
	flags := o.flags()
	return &cli.Command{
		Name:                          "img2lambda",
		Usage:                         "turn a container image into AWS Lambda layers",
		Version:                       version(),
		CustomRootCommandHelpTemplate: helpText(append(flags, cli.HelpFlag, cli.VersionFlag)),
		Flags:                         flags,
		Writer:                        reportWriter{stdout},
		ErrWriter:                     io.Discard, // Main says what is wrong
		HideHelpCommand:               true,
		EnableShellCompletion:         true,
		UseShortOptionHandling:        true, // -dq is -d -q, as for docker
		OnUsageError: func(_ context.Context, _ *cli.Command, err error, _ bool) error {
			return usageError{explainUsage(err, args)}
		},
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usageError{errors.Errorf("unexpected argument %q: the image goes after -i", c.Args().First())}
			}
			if err := o.check(); err != nil {
				return usageError{err}
			}
			return run(ctx, o, stdout, stderr)
		},
	}
}

// wrongValue is what the cli package says of a flag's value.
var wrongValue = regexp.MustCompile(`(?s)^invalid value (".*") for flag -([a-z0-9-]+)(?:: (.*))?$`)

// explainUsage says in people's words what the cli package does not accept of args.
func explainUsage(err error, args []string) error {
	if name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); unknown {
		return errors.Errorf("there is no flag %s", typed(strings.TrimLeft(name, "-"), args))
	}
	if name, incomplete := strings.CutPrefix(err.Error(), "flag needs an argument: "); incomplete {
		return errors.Errorf("%s needs a value", typed(strings.TrimLeft(name, "-"), args))
	}
	// The reason that the strconv package has is not for users.
	message, _, _ := strings.Cut(err.Error(), ": strconv.")
	match := wrongValue.FindStringSubmatch(message)
	if match == nil {
		return errors.New(message)
	}
	value, name, why := match[1], "-"+match[2], match[3]
	if len(match[2]) > 1 {
		name = "-" + name
	}
	switch why {
	case "can't duplicate this flag":
		return errors.Errorf("%s is there twice, and takes one value", name)
	case "parse error": // of the flag package's booleans
		return errors.Errorf("%s: %s is neither true nor false", name, value)
	case "":
		return errors.Errorf("%s: %s is not a valid number", name, value)
	}
	return errors.Errorf("%s: %s: %s", name, value, why)
}

// typed returns a flag with the dashes that it has in args, or usually has.
func typed(name string, args []string) string {
	if len(name) == 1 || slices.ContainsFunc(args, func(arg string) bool {
		before, _, _ := strings.Cut(arg, "=")
		return before == "-"+name
	}) {
		return "-" + name
	}
	return "--" + name
}

// version is what the Go toolchain has written into the binary: the module's
// version, which is that of go install, or the tag or commit of the checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}
