# The tag leaves out text/template (cli/help.go), also where tests build the program.
override GOFLAGS := $(or $(GOFLAGS),$(shell go env GOFLAGS)) -tags=urfave_cli_no_template
export GOFLAGS

# Without cgo the program is one static file. -s and -w leave out what is for
# debuggers; not making it in the first place saves a sixth of the time.
BUILD := CGO_ENABLED=0 go build -buildvcs=auto -trimpath -gcflags=all=-dwarf=false -ldflags '-s -w'

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
	go test -timeout 20m $(if $(shell command -v cc),-race) ./...

# Each fuzz target for FUZZTIME; go test runs their seeds. Without the bound on
# minimizing, that is all a target does as soon as it has found something new.
FUZZTIME := 60s
.PHONY: fuzz
fuzz:
	set -e; for target in ./extract/FuzzRepack ./extract/FuzzAssemble ./extract/FuzzGunzip \
		./extract/source/FuzzExport ./publish/FuzzZipBody; do \
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

# BENCH has flags for it: -run 'engine|cpu', -n 9, -before PATH to compare with
# another build of the program.
.PHONY: bench
bench: build
	go run ./bench $(BENCH)

# The README's pictures, made of what the program prints. Needs tmux.
.PHONY: pictures
pictures: build
	go run ./internal/record bin/local assets

# Archives with static binaries for all platforms, and their SHA-256 sums. What
# they are called after is the tag, or the commit if it has none.
TARGETS := linux_amd64 linux_arm64 darwin_amd64 darwin_arm64 windows_amd64 windows_arm64
RELEASED := $(foreach t,$(TARGETS),bin/release/build/$t/img2lambda$(if $(findstring windows,$t),.exe))

.PHONY: release
release:
	rm -rf bin/release
	$(MAKE) $(RELEASED)
	go run ./internal/release "$$(git describe --tags --always --dirty)" "$$(git log -1 --format=%ct)" bin/release

bin/release/build/%:
	GOOS=$(word 1,$(subst _, ,$(*D))) GOARCH=$(word 2,$(subst _, ,$(*D))) $(BUILD) -o $@ .

# Puts the program where go install does, or in PREFIX/bin.
.PHONY: install
install: build
	@set -e; dir=$(if $(PREFIX),"$(PREFIX)/bin",$$(go env GOBIN)); \
	test -n "$$dir" || dir=$$(go env GOPATH)/bin; \
	mkdir -p "$$dir"; install -m 755 bin/local/img2lambda "$$dir"; \
	echo "img2lambda is in $$dir."

.PHONY: clean
clean:
	rm -rf bin output
