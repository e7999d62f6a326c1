package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/pkg/errors"
	"golang.org/x/term"
)

// askMFACode returns what asks for the code of an MFA device, or nil if there is no
// terminal to ask on.
func askMFACode(stderr *printer, progress *progress) func(context.Context, string) (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) || !isTerminal(stderr.w) {
		return nil
	}
	return func(ctx context.Context, serial string) (string, error) {
		defer progress.pause()()
		before, err := term.GetState(in)
		if err != nil {
			return "", errors.Wrap(err, "terminal")
		}
		// The words are the AWS CLI's.
		fmt.Fprintf(stderr, "Enter MFA code for %s: ", oneLine(serial))
		type answer struct {
			code []byte
			err  error
		}
		answers := make(chan answer, 1)
		go func() {
			code, err := term.ReadPassword(in)
			answers <- answer{code, err}
		}()
		select {
		case a := <-answers:
			fmt.Fprintln(stderr)
			return string(a.code), errors.Wrap(a.err, "read the MFA code")
		case <-ctx.Done(): // the goroutine ends with the program
			fmt.Fprintln(stderr)
			_ = term.Restore(in, before)
			return "", ctx.Err()
		}
	}
}
