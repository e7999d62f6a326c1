package example

import (
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/awslabs/aws-lambda-container-image-converter/internal/runtimeapi"
)

// testRuntime puts the runtime through its paces in a root with nothing but the files
// of tree, which are the image's own.
func testRuntime(t *testing.T, image string, tree map[string]file) {
	bare := importTree(t, withProbes(tree))

	for _, handler := range []string{"functions.hello", "functions.goodbye"} {
		t.Run(handler, func(t *testing.T) {
			t.Parallel()
			r := startRuntime(t, bare, handler)
			const event = `{"name": "<Zoë> 世界"}`
			want := docker(t, "run", "--rm", "--network", "none", image, handler, event)
			if got := r.answer(event) + "\n"; got != want {
				t.Errorf("answer\n%s\nbut docker run's\n%s", got, want)
			}
			r.fails(`{}`, "InvalidArgumentException", `the event has no "name"`)
			r.fails(`{"name": 5}`, "TypeError", "name(): Return value must be of type string, int returned")
			if got := r.answer(`{"name": "again"}`); !strings.Contains(got, "again") {
				t.Errorf("after an error: %s", got)
			}
			r.stop()
		})
	}

	t.Run("invocations", func(t *testing.T) { testInvocations(t, bare) })
	testInit(t, bare)
	testEnds(t, bare)
}

// testInvocations has what one runtime can do after the other.
func testInvocations(t *testing.T, bare string) {
	t.Parallel()
	r := startRuntime(t, bare, "probe.call")

	deadline := time.UnixMilli(4102444800123)
	for _, trace := range []string{"Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1", ""} {
		got := r.invoke(runtimeapi.Event{Payload: `{"function": "context"}`, Deadline: deadline, TraceID: trace})
		want := fmt.Sprintf(`["%s","%s",%d,"%s"]`, got.RequestID, runtimeapi.FunctionARN, deadline.UnixMilli(), trace)
		if got.Answer != want {
			t.Errorf("context: answer %s, want %s", got.Answer, want)
		}
	}

	for function, want := range map[string]string{
		// Data that Debian has elsewhere in the system, and Lambda has not.
		"zones":        `["UTC","2025-07-01T14:00:00+02:00 CEST"]`,
		"certificates": `true`,
		// A child gets the environment that Lambda gave, and php still finds its own.
		"child": `"[\"/opt/php/bin/php\",\"/opt/php/bin/php.ini\",\"` + libraryPath + `\"]"`,
	} {
		if got := r.answer(`{"function": "` + function + `"}`); got != want {
			t.Errorf("%s: answer %s, want %s", function, got, want)
		}
	}

	r.fails(`{"function": "binary"}`, "JsonException", "Malformed UTF-8 characters, possibly incorrectly encoded")

	repeat := func(times int) runtimeapi.Event {
		return runtimeapi.Event{Payload: `{"function": "repeats", "times": ` + strconv.Itoa(times) + `}`}
	}
	if got := r.invoke(repeat(runtimeapi.MaxAnswer)); got.Error == nil || got.Error.Type != "Function.ResponseSizeTooLarge" {
		t.Errorf("too large: outcome %.100v", got)
	}
	if got := r.invoke(repeat(3)); got.Answer != `"xxx"` {
		t.Errorf("after one that was too large: %+v", got)
	}
	r.stop()
}

// testInit has handlers that cannot be loaded.
func testInit(t *testing.T, bare string) {
	for handler, errorType := range map[string]string{
		"missing.hello":     "Runtime.NoSuchFile",
		"functions.missing": "Runtime.NoSuchHandler",
		"functions":         "Runtime.InvalidHandler",
		"broken.hello":      "ParseError",
		"throws.hello":      "LogicException",
		"leaves.hello":      "Runtime.ExitError",
	} {
		t.Run("init "+handler, func(t *testing.T) {
			t.Parallel()
			r := startRuntime(t, bare, handler)
			got, err := r.api.InitError(r.ctx)
			if err != nil {
				t.Fatalf("%v; logs:\n%s", err, &r.stderr)
			}
			if header := got.Header.Get("Lambda-Runtime-Function-Error-Type"); got.Error.Type != errorType || header != errorType {
				t.Errorf("error %+v, header %q, want %s", got.Error, header, errorType)
			}
			r.ends(1)
		})
	}
}

// testEnds has what ends the runtime.
func testEnds(t *testing.T, bare string) {
	// What a function prints is kept apart from its answer. Told to stop, the runtime
	// first finishes what it is at.
	t.Run("prints and is terminated", func(t *testing.T) {
		t.Parallel()
		r := startRuntime(t, bare, "probe.call")
		if got := r.answer(`{"function": "terminates"}`); got != `"finished/é"` {
			t.Errorf("answer %s", got)
		}
		if logs := r.ends(0); logs != "printed by the function\n" {
			t.Errorf("logs %q", logs)
		}
	})

	// What ends the process is reported first.
	for function, message := range map[string]string{
		"exits": "the function called exit",
		"fatal": "Cannot redeclare fatal()",
	} {
		t.Run(function, func(t *testing.T) {
			t.Parallel()
			r := startRuntime(t, bare, "probe.call")
			got := r.invoke(runtimeapi.Event{Payload: `{"function": "` + function + `"}`})
			if got.Error == nil || got.Error.Type != "Runtime.ExitError" || !strings.Contains(got.Error.Message, message) {
				t.Errorf("outcome %+v, want %s", got, message)
			}
			r.ends(1)
		})
	}

	t.Run("API gone", func(t *testing.T) {
		t.Parallel()
		r := startRuntime(t, bare, "functions.hello")
		if err := r.api.WaitIdle(r.ctx); err != nil {
			t.Fatalf("%v; logs:\n%s", err, &r.stderr)
		}
		r.api.Close()
		if logs := r.ends(1); strings.Count(logs, "\n") != 1 || !strings.Contains(logs, "no runtime API at "+r.api.Addr()) {
			t.Errorf("logs %q", logs)
		}
	})
}

// probe is a handler file whose functions look at the runtime from within.
const probe = `<?php
	function call(array $event, object $context) { return $event['function']($event, $context); }
	function context(array $event, object $context) {
		return [$context->requestId, $context->functionArn, $context->deadlineMs, getenv('_X_AMZN_TRACE_ID')];
	}
	function binary() { return "\xff"; }
	function repeats(array $event) { return str_repeat('x', $event['times']); }
	function exits() { exit(0); }
	function fatal() { eval('function fatal() {}'); }
	function zones() {
		$berlin = (new DateTime('@1751371200'))->setTimezone(new DateTimeZone('Europe/Berlin'));
		return [date_default_timezone_get(), $berlin->format('c T')];
	}
	function certificates() {
		return openssl_x509_read(file_get_contents(ini_get('curl.cainfo'))) !== false
			&& ini_get('openssl.cafile') === ini_get('curl.cainfo');
	}
	function child() {
		return output(['php', '-r', 'echo json_encode([PHP_BINARY, php_ini_loaded_file(), getenv("LD_LIBRARY_PATH")], JSON_UNESCAPED_SLASHES);']);
	}
	function output(array $command) {
		$process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
		$output = stream_get_contents($pipes[1]);
		proc_close($process);
		return $output;
	}
	function terminates() {
		echo "printed by the function\n";
		posix_kill(getmypid(), SIGTERM);
		return 'finished/é';
	}`

// withProbes returns the files with more functions, handler files that cannot be
// loaded, and a folder of libraries that no program can use.
func withProbes(tree map[string]file) map[string]file {
	probed := maps.Clone(tree)
	add := func(name, content string) { probed[name] = file{mode: 0o644, body: content} }
	for name := range tree {
		if path.Dir(name) == "opt/php/lib" {
			add("decoys/"+path.Base(name), "not a library")
		}
	}
	add("var/task/src/probe.php", probe)
	add("var/task/src/broken.php", `<?php function {`)
	add("var/task/src/throws.php", `<?php throw new LogicException('not today');`)
	add("var/task/src/leaves.php", `<?php exit(0);`)
	return probed
}
