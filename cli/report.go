package cli

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/opencontainers/go-digest"
)

// printReport says what a run has made.
func printReport(w io.Writer, image *types.Image, dir string) error {
	fmt.Fprintf(w, "%s (%s, %s)\n\n", image.Name, short(image.ID), image.Platform)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "ZIP\tSOURCE LAYER\tFILES\tUNZIPPED\tZIPPED\t")
	row := func(a types.Archive, from string) {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t\n", a.File, from, a.Files, size(a.UncompressedSize), size(a.CodeSize))
	}
	for _, l := range image.Layers {
		row(l.Archive, short(l.Digest))
	}
	if image.Function != nil {
		row(*image.Function, "/var/task")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThe zips and report.json are in %s.\n", dir)
	return err
}

// short is a digest as the docker CLI prints it: 12 hex digits.
func short(d digest.Digest) string {
	if hex := d.Encoded(); len(hex) > 12 {
		return hex[:12]
	}
	return d.String()
}

// size is a number of bytes for people, in the units of Lambda's quotas: 1 MB
// is 1024 × 1024 bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1<<20:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
}
