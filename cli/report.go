package cli

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/publish"
	"github.com/awslabs/aws-lambda-container-image-converter/types"
	"github.com/opencontainers/go-digest"
)

// report says what a run has made.
type report struct {
	*options
	image   *types.Image
	regions []publish.Region // none in a dry run
}

// file is what report.json has: the layers' zips have gone once they are published.
func (r *report) file() *types.Image {
	image := *r.image
	if !r.dryRun {
		image.Layers = slices.Clone(image.Layers)
		for i := range image.Layers {
			image.Layers[i].File = ""
		}
	}
	return &image
}

// print prints what people want to know; with -q, what a script wants: that is as it
// is, except for a terminal.
func (r *report) print(stdout io.Writer) error {
	w := stdout
	if !r.quiet || isTerminal(stdout) {
		w = reportWriter{stdout}
	}
	if r.quiet {
		return r.printResults(w)
	}
	width := terminalWidth(stdout)
	r.printImage(w, width)
	if !r.dryRun && len(r.image.Layers) > 0 {
		fmt.Fprintln(w)
		r.printVersions(w, width)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.where())
	return err
}

// printImage says what is in the image.
func (r *report) printImage(w io.Writer, width int) {
	image := r.image
	fmt.Fprintf(w, "%s (%s, %s)\n\n", oneLine(image.Name), short(cmp.Or(image.EngineID, image.ID)), oneLine(image.Platform))
	r.printZips(w, width)
	say := func(text string) {
		if width > 0 {
			text = wrap(text, width, 0)
		}
		fmt.Fprintln(w, text)
	}
	fmt.Fprintln(w)
	say(quotaLine(image))
	switch n := image.EmptyLayers; {
	case n == 1:
		say("1 more layer of the image has nothing for Lambda (below /opt or /var/task).")
	case n > 1:
		say(fmt.Sprintf("%d more layers of the image have nothing for Lambda (below /opt or /var/task).", n))
	}
}

// printZips prints a line for each zip.
func (r *report) printZips(w io.Writer, width int) {
	rows := [][]string{{"ZIP", "SOURCE LAYER", "FILES", "UNZIPPED", "ZIPPED"}}
	row := func(z types.Zip, from string) {
		rows = append(rows, []string{z.File, from, strconv.Itoa(z.Files), types.FormatSize(z.UncompressedSize), types.FormatSize(z.CodeSize)})
	}
	for _, l := range r.image.Layers {
		from := short(l.DiffIDs[0])
		if n := len(l.DiffIDs); n > 1 {
			from += fmt.Sprintf(" and %d more", n-1)
		}
		row(l.Zip, from)
	}
	if r.image.Function != nil {
		row(*r.image.Function, "/var/task")
	}
	names := 2
	if n := tableWidth(rows); width > 0 && n > width { // without what a terminal has no room for
		names = 1
		for i, row := range rows {
			rows[i] = slices.Delete(row, 1, 2)
		}
	}
	printTable(w, rows, names)
}

// where says where the results are.
func (r *report) where() string {
	names := []string{"report.json"}
	if r.image.Function != nil {
		names = append([]string{"function.zip"}, names...)
	}
	if r.dryRun && len(r.image.Layers) > 0 {
		return fmt.Sprintf("The zips and report.json are in %s.", r.outputDirectory)
	}
	verb := "is"
	if len(names) > 1 {
		verb = "are"
	}
	other := fmt.Sprintf("%s %s in %s.", strings.Join(names, " and "), verb, r.outputDirectory)
	if len(r.image.Layers) == 0 {
		return "The image has nothing below /opt, so there is no layer for Lambda.\n" + other
	}
	file := filepath.Join(r.outputDirectory, "layers.json")
	if len(r.regions) > 1 {
		file = filepath.Join(r.outputDirectory, "REGION", "layers.json")
	}
	where := fmt.Sprintf("The ARNs are in %s.", file)
	if with := r.publish.ShareWith; len(with) > 0 {
		where = fmt.Sprintf("Shared with %s. ", strings.Join(with, ", ")) + where
	}
	return where
}

// printResults prints the ARNs, those of a region together, or in a dry run the
// paths of the zips.
func (r *report) printResults(w io.Writer) error {
	var lines []string
	for _, region := range r.regions {
		for _, v := range region.Versions {
			lines = append(lines, v.ARN)
		}
	}
	if r.dryRun {
		for _, l := range r.image.Layers {
			lines = append(lines, filepath.Join(r.outputDirectory, l.File))
		}
		if r.image.Function != nil {
			lines = append(lines, filepath.Join(r.outputDirectory, r.image.Function.File))
		}
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
	if _, hex, _ := strings.Cut(d.String(), ":"); len(hex) > 12 { // engines call images what they like
		return hex[:12]
	}
	return d.String()
}
