# What a newcomer needs: make run, make test. Both install what is missing first.

GO       ?= go
PYTHON   ?= /usr/bin/python3
CONFIG   ?= configs/demo.yaml
FUZZTIME ?= 5s
TESTFLAGS ?=
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# Tests are told where ONNX Runtime's library is; bin/sharpend finds it by itself.
WITH_LIB = SHARPEND_ONNXRUNTIME="$$(scripts/lib.sh)" && export SHARPEND_ONNXRUNTIME &&

.PHONY: help run test build deps deps-test lib race lint fuzz bench bench-pipeline soak build-arm64 test-arm64 deb test-deb test-vm smoke test-gpu-libs bench-gpu test-train train-data train evaluate clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "make %-15s %s\n", $$1, $$2}' Makefile

run: deps lib build ## build, then play the demo clip as a camera (CONFIG=configs/demo.yaml)
	@scripts/foreground.sh bin/sharpend run --config $(CONFIG)

test: deps-test lib build/go.mod ## every test, with the real ONNX Runtime and a real mosquitto
	@$(WITH_LIB) $(GO) test $(TESTFLAGS) ./...

build: ## bin/sharpend
	$(GO) build -buildvcs=false -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/sharpend ./daemon

deps: ## install the system packages for building and running, where missing
	@GO=$(GO) scripts/deps.sh

deps-test: ## install those for the tests, too
	@GO=$(GO) scripts/deps.sh test

lib: ## fetch ONNX Runtime's library into lib/, unless $SHARPEND_ONNXRUNTIME or the system has one
	@scripts/lib.sh >/dev/null

# A module of its own, so that ./... does not look into what lies there.
build/go.mod:
	@mkdir -p build && echo 'module build' >$@

race: deps-test lib build/go.mod ## every test with the race detector
	@$(WITH_LIB) $(GO) test -race $(TESTFLAGS) ./...

lint: deps build/go.mod ## gofmt, vet, staticcheck, licences listed
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	test -z "$$unformatted" || { echo "run gofmt -w on:" $$unformatted; exit 1; }
	$(GO) vet -tags vm ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.7.0 -tags vm ./...
	@GO=$(GO) scripts/licences.sh

fuzz: deps-test lib build/go.mod ## every fuzz target for a moment (FUZZTIME=5s)
	@$(WITH_LIB) GO=$(GO) scripts/fuzz.sh $(FUZZTIME)

bench: deps-test lib build build/go.mod ## benchmarks of the packages, then of the whole program
	@$(WITH_LIB) $(GO) test -run '^$$' -bench . -benchmem ./...
	@bin/sharpend bench --config $(CONFIG)

bench-pipeline: deps-test lib build ## sharpend side by side with the same pipeline in C and in Python
	@$(WITH_LIB) $(GO) run ./bench

soak: deps-test lib build ## 100,000 frames: memory must stay flat
	@scripts/soak.sh

test-gpu-libs: build ## real CUDA and TensorRT providers on a machine without a GPU: what they say, and what we make of it
	@GO=$(GO) scripts/test-gpu-libs.sh

bench-gpu: build ## on a machine with an NVIDIA GPU: all that can be measured there, as Markdown in build/bench-gpu.md
	@scripts/bench-gpu.sh

build-arm64: ## build/arm64/bin/sharpend, cross-built
	@GO=$(GO) scripts/arm64.sh build

test-arm64: build ## tests and a sharpened picture under qemu-aarch64, compared with x86-64's
	@GO=$(GO) scripts/arm64.sh test

deb: build build-arm64 ## build/deb/sharpend_VERSION_{amd64,arm64}.deb
	@GO=$(GO) packaging/build.sh amd64
	@GO=$(GO) packaging/build.sh arm64

test-deb: deb ## install, upgrade, remove and purge the package in a throw-away root
	@GO=$(GO) packaging/test.sh

test-vm: deps lib build ## the package in a virtual machine with real camera drivers, systemd and a broker
	@GO=$(GO) test/vm/vm.sh test

smoke: deps-test lib build ## start the demo, count its frames, end it by Ctrl-C
	@scripts/smoke.sh

test-train: lib ## the training code's own tests (Python with torch)
	@GO=$(GO) PYTHON=$(PYTHON) scripts/deps.sh evaluate
	@$(WITH_LIB) cd train && $(PYTHON) -m unittest discover -p '*test*.py'

evaluate: lib ## measure the networks, write the card: PHOTOS=DIR PAIRS=DIR EVALUATE='--only gain'
	@GO=$(GO) PYTHON=$(PYTHON) scripts/deps.sh evaluate
	@scripts/brisque.sh
	@$(WITH_LIB) cd train && $(PYTHON) evaluate.py --photos $(abspath $(or $(PHOTOS),build/train-data/photos)) $(if $(PAIRS),--pairs $(abspath $(PAIRS))) $(EVALUATE)

train-data: ## photographs and fonts to train on, out of Debian's packages, into build/train-data/photos
	@GO=$(GO) PYTHON=$(PYTHON) scripts/deps.sh train
	@scripts/train-data.sh

train: ## train from nothing and export: MINUTES=360, also SIZE=s|m OUT=models CHECKPOINTS=build/train PHOTOS=DIR PAIRS=DIR FLAGS=...
	@GO=$(GO) PYTHON=$(PYTHON) scripts/deps.sh train
	@MINUTES=$(MINUTES) SIZE=$(SIZE) OUT=$(OUT) CHECKPOINTS=$(CHECKPOINTS) PHOTOS=$(PHOTOS) PAIRS=$(PAIRS) FLAGS="$(FLAGS)" PYTHON=$(PYTHON) scripts/train.sh

clean: ## remove what was built; lib/ stays, it is slow to fetch
	rm -rf bin build
