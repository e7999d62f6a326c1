package main

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// In pixels, for a picture of 880 px: what a letter takes, and the margin.
const letterWidth, lineHeight, margin = 9, 21, 17

// lastScreen begins the group of the screen that is there in the end.
const lastScreen = `<g class="screen last">`

// drawTerminal makes a picture in SVG that shows the screens one after the other,
// again and again. What does not move pictures shows the last one.
func drawTerminal(screens []screen) string {
	last := screens[len(screens)-1].text
	var total time.Duration
	for _, s := range screens {
		total += s.time
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d">
<title>img2lambda in a terminal: the first run publishes the layers, the second finds them</title>
<style>
  rect { fill: #161b22 }
  text { fill: #e6edf3; font: 15px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre }
  .c1 { fill: #fff; font-weight: bold }
  .c32 { fill: #3fb950 }
  .screen { visibility: hidden }
  .last { visibility: visible }
  @media (prefers-reduced-motion: no-preference) {
    .screen { animation: %.1fs step-end infinite }
`, columns*letterWidth+2*margin, (strings.Count(last, "\n")+1)*lineHeight+2*margin, total.Seconds())
	var begin time.Duration
	for i, s := range screens {
		percent := func(d time.Duration) float64 { return 100 * d.Seconds() / total.Seconds() }
		fmt.Fprintf(&b, "    .screen:nth-of-type(%d) { animation-name: s%d }\n", i+1, i)
		fmt.Fprintf(&b, "    @keyframes s%d { 0%% { visibility: hidden } %.2f%% { visibility: visible } %.2f%% { visibility: hidden } }\n",
			i, percent(begin), percent(begin+s.time))
		begin += s.time
	}
	b.WriteString("  }\n</style>\n<rect width=\"100%\" height=\"100%\" rx=\"10\"/>\n")
	for _, s := range screens[:len(screens)-1] {
		b.WriteString("<g class=\"screen\">\n" + drawScreen(s.text) + "</g>\n")
	}
	b.WriteString(lastScreen + "\n" + drawScreen(last) + "</g>\n</svg>\n")
	return b.String()
}

// colour matches the escape sequences that capture-pane gives.
var colour = regexp.MustCompile(`\x1b\[([0-9;]*)m`)

// drawScreen makes a line of text for each of a screen's. It is squeezed to the
// letters' width, so that columns are straight in any font.
func drawScreen(text string) string {
	var b strings.Builder
	class := ""
	for i, line := range strings.Split(text, "\n") {
		plain := strings.TrimRight(colour.ReplaceAllString(line, ""), " ")
		var spans strings.Builder
		for rest := line; ; {
			at := colour.FindStringSubmatchIndex(rest)
			end := len(rest)
			if at != nil {
				end = at[0]
			}
			if part := html.EscapeString(rest[:end]); class != "" && part != "" {
				fmt.Fprintf(&spans, `<tspan class="c%s">%s</tspan>`, class, part)
			} else {
				spans.WriteString(part)
			}
			if at == nil {
				break
			}
			if class = rest[at[2]:at[3]]; class == "0" || class == "39" || class == "49" {
				class = ""
			}
			rest = rest[at[1]:]
		}
		if plain != "" {
			fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" textLength=\"%d\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">%s</text>\n",
				margin, margin+lineHeight*i+15, letterWidth*utf8.RuneCountInString(plain), strings.TrimRight(spans.String(), " "))
		}
	}
	return b.String()
}
