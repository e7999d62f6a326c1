package main

import (
	"fmt"
	"strings"
)

// A theme has the colours of a drawing.
type theme struct{ page, box, line, text, faint, accent string }

var (
	light = theme{"#ffffff", "#f6f8fa", "#8c959f", "#1f2328", "#59636e", "#bc4c00"}
	dark  = theme{"#0d1117", "#161b22", "#656c76", "#f0f6fc", "#9198a1", "#f0883e"}
)

// layerRow is a layer of the image, and what comes out of it.
type layerRow struct{ step, holds, zip, becomes string }

// layerRows are those of an image, the first at the bottom, as layers lie.
var layerRows = []layerRow{
	{"FROM debian", "/usr/lib …", "", ""},
	{"COPY runtime /opt", "/opt/bootstrap …", "layer-1.zip", "img2lambda-sha256-61ed…"},
	{"COPY vendor /opt/vendor", "/opt/vendor/twig …", "layer-2.zip", "img2lambda-sha256-fa51…"},
	{"COPY src /var/task/src", "/var/task/src/hello.php", "function.zip", "the function's code"},
}

// drawLayers draws how an image's layers become a function's, in SVG.
func drawLayers(c theme) string {
	const top, rowHeight, boxHeight = 62, 64, 52
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 %d">
<title>Each image layer with files below /opt becomes a Lambda layer; what is below /var/task becomes the function's code</title>
<style>
  text { fill: %s; font: 15px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif }
  .code { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
  .faint { fill: %s }
  .head { font-weight: 600 }
  .box { fill: %s; stroke: %s }
  .group { fill: none; stroke: %s; stroke-dasharray: 5 4 }
  .arrow { fill: none; stroke: %s; stroke-width: 2; marker-end: url(#head) }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto" markerUnits="userSpaceOnUse"><path d="M0 0 8 4 0 8z" fill="%s"/></marker></defs>
<rect width="100%%" height="100%%" fill="%s"/>
<text class="head" x="10" y="36">Image layers</text>
<text class="head" x="368" y="36">Zips</text>
<text class="head" x="594" y="36">A function in AWS Lambda</text>
<rect class="group" x="580" y="52" width="299" height="200" rx="8"/>
`, top+len(layerRows)*rowHeight, c.text, c.faint, c.box, c.line, c.line, c.accent, c.accent, c.page)
	for i, row := range layerRows {
		y := top + (len(layerRows)-1-i)*rowHeight
		middle := y + boxHeight/2
		fmt.Fprintf(&b, "<rect class=\"box\" x=\"10\" y=\"%d\" width=\"260\" height=\"%d\" rx=\"6\"/>\n", y, boxHeight)
		fmt.Fprintf(&b, "<text class=\"code\" x=\"24\" y=\"%d\">%s</text>\n<text class=\"code faint\" x=\"24\" y=\"%d\">%s</text>\n", middle-5, row.step, middle+15, row.holds)
		if row.zip == "" {
			fmt.Fprintf(&b, "<text class=\"faint\" x=\"290\" y=\"%d\">nothing below /opt: no zip</text>\n", middle+5)
			fmt.Fprintf(&b, "<text class=\"faint\" x=\"594\" y=\"%d\">together the image's own /opt</text>\n", middle+5)
			continue
		}
		fmt.Fprintf(&b, "<path class=\"arrow\" d=\"M276 %d H360\"/>\n", middle)
		fmt.Fprintf(&b, "<rect class=\"box\" x=\"368\" y=\"%d\" width=\"128\" height=\"%d\" rx=\"6\"/>\n<text class=\"code\" x=\"382\" y=\"%d\">%s</text>\n", y, boxHeight, middle+5, row.zip)
		fmt.Fprintf(&b, "<path class=\"arrow\" d=\"M502 %d H588\"/>\n", middle)
		fmt.Fprintf(&b, "<rect class=\"box\" x=\"594\" y=\"%d\" width=\"271\" height=\"%d\" rx=\"6\"/>\n", y, boxHeight)
		fmt.Fprintf(&b, "<text class=\"code\" x=\"608\" y=\"%d\">%s</text>\n", middle+5, row.becomes)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
