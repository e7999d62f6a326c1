package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/publish"
)

// printVersions says of each layer in each region whether it was there and what its
// ARN is. On a terminal that is width columns wide (0: there is none) ARNs are cut
// to what has room; several layers in several regions are a table without them.
func (r *report) printVersions(w io.Writer, width int) {
	layers := r.image.Layers
	switch {
	case len(r.regions) == 1:
		var rows [][]string
		for i, l := range layers {
			rows = append(rows, []string{l.File, how(r.regions[0].Versions[i]), r.regions[0].Versions[i].ARN})
		}
		printVersionRows(w, rows, width)
	case len(layers) == 1:
		var rows [][]string
		for _, region := range r.regions {
			rows = append(rows, []string{region.Name, how(region.Versions[0]), region.Versions[0].ARN})
		}
		printVersionRows(w, rows, width)
	default:
		table := r.versionTable()
		if n := tableWidth(table); n <= width {
			printTable(w, table, len(table[0]))
			return
		}
		for i, region := range r.regions {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintln(w, region.Name)
			var rows [][]string
			for j, v := range region.Versions {
				rows = append(rows, []string{layers[j].File, how(v), v.ARN})
			}
			printVersionRows(w, rows, width)
		}
	}
}

// versionTable has a line for each region and a column for each layer, with the
// number of its version.
func (r *report) versionTable() [][]string {
	header := []string{"REGION"}
	for _, l := range r.image.Layers {
		header = append(header, l.File)
	}
	table := [][]string{header}
	for _, region := range r.regions {
		row := []string{region.Name}
		for _, v := range region.Versions {
			row = append(row, "v"+v.ARN[strings.LastIndexByte(v.ARN, ':')+1:]+" "+how(v))
		}
		table = append(table, row)
	}
	return table
}

// how is what has become of a layer in a region.
func how(v publish.Version) string {
	if v.Found {
		return "already there"
	}
	return "published"
}

// printVersionRows prints lines that end with an ARN.
func printVersionRows(w io.Writer, rows [][]string, width int) {
	if width > 0 {
		room := width
		for _, n := range columnWidths(rows)[:len(rows[0])-1] {
			room -= n + gap
		}
		for _, row := range rows {
			arn := &row[len(row)-1]
			*arn = shorten(*arn, room)
		}
	}
	printTable(w, rows, len(rows[0]))
}

// gap is the space between columns.
const gap = 2

func columnWidths(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	return widths
}

func tableWidth(rows [][]string) int {
	total := -gap
	for _, n := range columnWidths(rows) {
		total += n + gap
	}
	return total
}

// printTable prints rows of the same number of columns. The first ones, so many as
// are names, are to the left; figures are to the right.
func printTable(w io.Writer, rows [][]string, names int) {
	widths := columnWidths(rows)
	for _, r := range rows {
		var line strings.Builder
		for i, cell := range r {
			if i > 0 {
				fmt.Fprintf(&line, "%*s", gap, "")
			}
			if i < names {
				fmt.Fprintf(&line, "%-*s", widths[i], cell)
			} else {
				fmt.Fprintf(&line, "%*s", widths[i], cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
