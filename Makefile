# What a newcomer needs is `make run` and `make test`; `make help` lists the rest.
SHELL      := /bin/bash
GO         ?= go
export GOTOOLCHAIN := local
export CGO_ENABLED ?= 0
TOOLS      := $(CURDIR)/.tools
LINT       := $(TOOLS)/golangci-lint-v2.15.0
FUMPT      := $(TOOLS)/gofumpt-v0.12.0
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION   := $(shell git rev-parse HEAD 2>/dev/null)
COMMITTED  := $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
PACKAGES   := ./...
FUZZTIME   ?= 60s

.DEFAULT_GOAL := help
.PHONY: help run build test test-go check format lint vet generated bench bench-hl7v2 cover fuzz faults postgres tools

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## /\1\t/' | expand -t 12

run: build ## build the engine and serve routes.yaml on this machine
	./engine run

build: ## build ./engine
	@$(GO) build -trimpath -ldflags "-X main.version=$(VERSION) -X main.revision=$(REVISION) -X main.committed=$(COMMITTED)" -o engine ./cmd/engine

test: postgres test-go ## run every test with the race detector (installs PostgreSQL if it is missing)

test-go:
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -timeout 25m $(PACKAGES)

check: format vet lint generated ## what CI runs beside the tests: format, vet, lint, generated files up to date

format: $(FUMPT)
	@out=$$(git ls-files -z '*.go' | xargs -0 $(FUMPT) -l); if [ -n "$$out" ]; then echo "not formatted (run gofumpt -w):"; echo "$$out"; exit 1; fi

vet:
	$(GO) vet $(PACKAGES)
	$(GO) vet -tags killpoints ./...

lint: $(LINT)
	$(LINT) run --timeout 15m $(PACKAGES)

generated:
	@bash scripts/generated.sh

bench-hl7v2: ## measure the reader of HL7 v2 beside readers of npm
	$(GO) run ./bench/hl7v2

bench: postgres ## measure the engine beside this machine's own limits
	$(GO) run ./bench/main

cover: postgres ## write coverage.out and print the total
	CGO_ENABLED=1 $(GO) test -coverprofile=coverage.out -coverpkg=./... $(PACKAGES)
	$(GO) tool cover -func=coverage.out | tail -1

fuzz: ## run every fuzz target for FUZZTIME (60s each)
	@bash scripts/fuzz.sh $(FUZZTIME)

faults: postgres ## the long fault suites (about two hours): kill matrix, random kills, power cuts, an engine that dies under load
	PLEXUS_FAULTS=long CGO_ENABLED=1 $(GO) test -race -timeout 4h -count=1 -v ./cmd/engine -run 'TestKill|TestDisk|TestPower|TestAnEngineDies|NotKnown'
	PLEXUS_FAULTS=long CGO_ENABLED=1 $(GO) test -race -timeout 1h -count=1 ./queue/jetstream ./connectors/file ./store/postgres -run 'TestFolder|TestPower|TestFullDisk|NotKnown'

postgres:
	@bash scripts/postgres.sh

tools: $(LINT) $(FUMPT)

$(LINT):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv $(TOOLS)/golangci-lint $@

$(FUMPT):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) GOFLAGS= $(GO) install mvdan.cc/gofumpt@v0.12.0
	mv $(TOOLS)/gofumpt $@
