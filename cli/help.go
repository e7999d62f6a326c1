package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/awslabs/aws-lambda-container-image-converter/extract/source"
	"github.com/urfave/cli/v3"
)

const help = `img2lambda turns a container image into AWS Lambda layers.

Usage: img2lambda -i IMAGE [options]

Each layer of IMAGE that has files below /opt becomes a Lambda layer. Those that
Lambda does not have yet are published, and the ARNs of all are written to
layers.json. What is below /var/task becomes function.zip, the deployment
package of a function. To see the zips first, and publish nothing, add -d.

IMAGE is NAME[:TAG] of an image in the Docker engine, or one of
`

// Our own help is written as it is: it is no template. The Makefile leaves out package
// text/template, with which the linker would keep whatever a template can call, most of
// it of the AWS SDK: the program would have 26 MB instead of 15.
func init() {
	cli.HelpPrinter = func(w io.Writer, text string, data any) {
		if text == data.(*cli.Command).CustomRootCommandHelpTemplate {
			fmt.Fprint(w, text)
			return
		}
		cli.DefaultPrintHelp(w, text, data) // of the command "completion"
	}
}

// helpText is the help with the flags in the order of their importance.
func helpText(flags []cli.Flag) string {
	var b strings.Builder
	b.WriteString(help + source.Help() + "\nOptions:\n")
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		usage := d.GetUsage()
		var value string
		if _, rest, found := strings.Cut(usage, "`"); found {
			value, _, _ = strings.Cut(rest, "`")
			usage = strings.ReplaceAll(usage, "`", "")
		}
		if v := strings.Trim(d.GetValue(), `"[]`); d.TakesValue() && v != "" && v != "0" {
			usage += " (default: " + v + ")"
		}
		const column = 33
		left := "  " + names(f, value)
		if len(left) >= column {
			left += "\n"
			fmt.Fprintf(&b, "%s%*s", left, column, "")
		} else {
			fmt.Fprintf(&b, "%-*s", column, left)
		}
		b.WriteString(wrap(usage, 80-column, column) + "\n")
	}
	return b.String()
}

// names are a flag's forms, short ones first.
func names(f cli.Flag, value string) string {
	var short, long []string
	for _, n := range f.Names() {
		if len(n) == 1 {
			short = append(short, "-"+n)
		} else {
			long = append(long, "--"+n)
		}
	}
	if len(short) == 0 {
		short = []string{"   "}
	} else {
		short[0] += ","
	}
	return strings.TrimRight(short[0]+" "+strings.Join(long, ", ")+" "+value, " ")
}

// wrap breaks a text into lines of a width, those after the first indented.
func wrap(text string, width, indent int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		if i > 0 && column+1+len(word) > width {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = 0
		} else if i > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}
