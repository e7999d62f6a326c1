# Without cgo the program is one static file.
BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'

GOFUMPT := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build
build:
	$(BUILD) -o bin/local/img2lambda .

.PHONY: demo
demo: build
	go run ./internal/demo

.PHONY: test
test:
	go test $(if $(shell command -v cc),-race) ./...

# Each fuzz target for FUZZTIME; go test runs their seeds. Without the bound on
# minimizing, that is all a target does as soon as it has found something new.
FUZZTIME := 60s
.PHONY: fuzz
fuzz:
	set -e; for target in ./extract/FuzzRepack ./extract/FuzzAssemble ./extract/FuzzGunzip ./extract/source/FuzzExport; do \
		go test "$${target%/*}" -run '^$$' -fuzz "^$${target##*/}$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x; \
	done

# Format, vet for all systems, the import rules, known vulnerabilities.
.PHONY: lint
lint:
	@unformatted=$$(go run $(GOFUMPT) -l .) && test -z "$$unformatted" || { echo "not gofumpt-formatted: $$unformatted"; exit 1; }
	for os in linux darwin windows; do echo vet $$os; GOOS=$$os go vet ./... || exit 1; done
	go run $(STATICCHECK) ./...
	.ci/imports
	.ci/vulncheck

.PHONY: bench
bench: build
	go run ./bench

# Static binaries for all platforms, and their SHA-256 sums.
.PHONY: release
release:
	rm -rf bin/release
	for os in linux darwin windows; do for arch in amd64 arm64; do \
		GOOS=$$os GOARCH=$$arch $(BUILD) -o bin/release/img2lambda_$${os}_$$arch$$(test $$os = windows && echo .exe) . || exit 1; \
	done; done
	cd bin/release && { command -v sha256sum >/dev/null && sha256sum * || shasum -a 256 *; } >SHA256SUMS

.PHONY: clean
clean:
	rm -rf bin output
