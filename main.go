// Command img2lambda turns a container image into AWS Lambda layers.
package main

import (
	"context"
	"os"

	"github.com/awslabs/aws-lambda-container-image-converter/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), os.Args, os.Stdout, os.Stderr))
}
