package cli

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"text/tabwriter"

	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/opencontainers/go-digest"
)

// printReport says what a run has made; published are the names of the layers
// that Lambda did not have before.
func printReport(w io.Writer, o *options, image *types.Image, published map[string]bool) error {
	if o.quiet {
		return printResults(w, o, image)
	}
	fmt.Fprintf(w, "%s (%s, %s)\n\n", oneLine(image.Name), short(cmp.Or(image.EngineID, image.ID)), oneLine(image.Platform))
	printTable(w, image)
	fmt.Fprintln(w, quotaLine(image))
	switch n := image.EmptyLayers; {
	case n == 1:
		fmt.Fprintf(w, "1 more layer of the image has nothing for Lambda (below /opt or /var/task).\n")
	case n > 1:
		fmt.Fprintf(w, "%d more layers of the image have nothing for Lambda (below /opt or /var/task).\n", n)
	}
	if o.dryRun {
		_, err := fmt.Fprintf(w, "\nThe zips and report.json are in %s.\n", o.outputDirectory)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w)
	for _, l := range image.Layers {
		how := "already there"
		if published[l.Name] {
			how = "published"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", l.File, how, l.ARN)
	}
	t.Flush()
	_, err := fmt.Fprintf(w, "\nThe ARNs are in %s.\n", filepath.Join(o.outputDirectory, "layers.json"))
	return err
}

// printTable prints a line for each zip. Names are to the left, figures to the
// right.
func printTable(w io.Writer, image *types.Image) {
	rows := [][]string{{"ZIP", "SOURCE LAYER", "FILES", "UNZIPPED", "ZIPPED"}}
	row := func(z types.Zip, from string) {
		rows = append(rows, []string{z.File, from, strconv.Itoa(z.Files), types.FormatSize(z.UncompressedSize), types.FormatSize(z.CodeSize)})
	}
	for _, l := range image.Layers {
		from := short(l.DiffIDs[0])
		if n := len(l.DiffIDs); n > 1 {
			from += fmt.Sprintf(" and %d more", n-1)
		}
		row(l.Zip, from)
	}
	if image.Function != nil {
		row(*image.Function, "/var/task")
	}
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, r := range rows {
		fmt.Fprintf(w, "%-*s  %-*s  %*s  %*s  %*s\n", widths[0], r[0], widths[1], r[1], widths[2], r[2], widths[3], r[3], widths[4], r[4])
	}
	fmt.Fprintln(w)
}

// printResults prints what a script wants: the ARNs, or in a dry run the paths
// of the zips.
func printResults(w io.Writer, o *options, image *types.Image) error {
	var lines []string
	for _, l := range image.Layers {
		if o.dryRun {
			lines = append(lines, filepath.Join(o.outputDirectory, l.File))
		} else {
			lines = append(lines, l.ARN)
		}
	}
	if o.dryRun && image.Function != nil {
		lines = append(lines, filepath.Join(o.outputDirectory, image.Function.File))
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// short is a digest as the docker CLI prints it: 12 hex digits.
func short(d digest.Digest) string {
	if hex := d.Encoded(); len(hex) > 12 {
		return hex[:12]
	}
	return d.String()
}
