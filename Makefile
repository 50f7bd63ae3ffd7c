# imgops: make demo, test, lint, bench, build, clean. 'make demo' and 'make test' install what they need (.ci/setup).
GO ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GOTOOL := $(GO) tool -modfile=.ci/tools/go.mod

.PHONY: build demo test lint bench clean setup

build: ## the one binary, static, in bin/
	CGO_ENABLED=0 $(GO) build -ldflags "-s -w -X main.buildVersion=$(VERSION)" -o bin/imgops ./cmd/imgops

setup: ## what the demo and the tests need of Debian
	@.ci/setup

demo: setup build ## a commit becomes the role default, on real machines
	@.ci/demo

test: build ## every test: unit, script, and the pipeline on real machines
	@.ci/setup test
	@race=-race; printf '#include <stdlib.h>\n' | cc -xc -c -o /dev/null - 2>/dev/null || \
	  { race=; echo "imgops: no C compiler: the tests run without the race detector" >&2; }; \
	set -x; IMGOPS_BINARY=$(CURDIR)/bin/imgops $(GO) test $$race -timeout 20m ./...

lint: ## gofmt, go vet, golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt would change:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GOTOOL) golangci-lint run

bench: setup build ## the figures of the README, as ratios in one run
	@.ci/bench

clean:
	rm -rf bin dist
