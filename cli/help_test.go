package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// The README shows the options as --help prints them.
func TestREADMEHasHelp(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	help := helpText(append(new(options).flags(), cli.HelpFlag, cli.VersionFlag))
	if !strings.Contains(string(readme), "```text\n"+help+"```\n") {
		t.Errorf("the README does not have the text of --help:\n%s", help)
	}
	for line := range strings.Lines(help) {
		if len(strings.TrimSuffix(line, "\n")) > 80 {
			t.Errorf("over 80 columns: %s", line)
		}
	}
}
