package source

import "context"

// abandon waits for f, or for the end of the context: some calls cannot be
// interrupted, and wait for ever. What f writes to counts only if it has ended.
func abandon(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
