package cli

import (
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// printer writes messages, each in one piece, without what does not belong on a
// terminal or in a log: control characters, which names in images and answers of
// servers may have, and secrets, which servers may repeat. Results do not go
// through it.
type printer struct {
	w       io.Writer
	mu      sync.Mutex
	secrets []string
}

// credentials are parts of HTTP requests that nobody should see.
var credentials = regexp.MustCompile(`(?i)(` + strings.Join([]string{
	`authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|aws4-hmac-sha256)\s+)?`,
	`\b(?:basic|bearer)\s+`,
	`x-amz-security-token["']?\s*[:=]\s*["']?`,
	`token\\?["']\s*:\s*\\?["']`, // in the JSON of registries
	`\b(?:sig|signature|x-amz-signature|credential|x-amz-credential)=`,
}, "|") + `)[^\s"',;&\\]+`)

// shortestSecret is how many characters secrets have at least. Those that stand in
// for them where nobody checks, "test" for instance, are in other words as well.
const shortestSecret = 8

// hide keeps secrets out of what is written from now on.
func (p *printer) hide(secrets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range secrets {
		if len(s) >= shortestSecret {
			p.secrets = append(p.secrets, s)
		}
	}
}

func (p *printer) Write(b []byte) (int, error) {
	s := p.clean(string(b))
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.w, s); err != nil {
		return 0, err
	}
	return len(b), nil
}

// clean takes out what should not be seen.
func (p *printer) clean(s string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, secret := range p.secrets {
		s = strings.ReplaceAll(s, secret, "(hidden)")
	}
	return printable(credentials.ReplaceAllString(s, "${1}(hidden)"))
}

// printable replaces what may do something to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// reportWriter writes what people read on stdout. They may do so on a terminal.
type reportWriter struct{ io.Writer }

func (w reportWriter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, printable(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// oneLine makes one line of a message.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
