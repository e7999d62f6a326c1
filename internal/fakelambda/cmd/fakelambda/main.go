// Fakelambda serves an empty Lambda layer API, and S3 behind the same URL, on
// a free port of 127.0.0.1. It prints the URL, fit for AWS_ENDPOINT_URL, on a
// line of its own, and serves until it gets SIGINT or SIGTERM. Any credentials
// are good, and nothing is kept.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/fakelambda"
)

func main() {
	// A set of its own, since httptest adds a flag to the common one.
	flags := flag.NewFlagSet("fakelambda", flag.ExitOnError)
	bucket := flags.String("bucket", "", "make an S3 bucket of this `name`")
	bandwidth := flags.Int("bandwidth", 0, "take so many `bytes` a second on each connection")
	delay := flags.Duration("delay", 0, "take so much longer to answer each call")
	_ = flags.Parse(os.Args[1:]) // exits on errors
	if err := serve(*bucket, *bandwidth, *delay); err != nil {
		fmt.Fprintln(os.Stderr, "fakelambda:", err)
		os.Exit(1)
	}
}

func serve(bucket string, bandwidth int, delay time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	s3 := s3mem.New()
	if bucket != "" {
		if err := s3.CreateBucket(bucket); err != nil {
			return err
		}
	}
	api := fakelambda.New(fakelambda.WithS3(gofakes3.New(s3).Server()), fakelambda.Bandwidth(bandwidth))
	if delay > 0 {
		api.On(fakelambda.Rule{Do: fakelambda.Delay(delay)})
	}
	url := api.Start()
	defer api.Close()
	fmt.Println(url)
	<-ctx.Done()
	return nil
}
