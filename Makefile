# The front door. `make demo` and `make test` need nothing but this checkout: they set up, build and run.
.DEFAULT_GOAL := build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)

.PHONY: help setup build demo test test-asan bench soak fuzz lint format install uninstall clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:  ## install what building and testing need (Debian, Ubuntu, Fedora; asks for root)
	@scripts/setup.sh

build:  ## build the program: build/stockade
	@scripts/setup.sh --check build
	@cmake --preset release >/dev/null
	@cmake --build build -j $(JOBS)

demo: setup build  ## run a real, hijacked agent behind the five walls
	@tests/demo/run

test: setup build  ## unit and system tests, as root and as an ordinary user
	@scripts/test.sh

test-asan: setup  ## the same tests under AddressSanitizer and UBSan
	@scripts/test.sh --preset asan

bench: setup build  ## measure against the peers, write docs/benchmarks.md
	@bench/run

soak: setup build  ## many sandboxes, many connections, for a long time
	@bench/soak

fuzz: setup  ## ten minutes for each parser
	@scripts/fuzz.sh

lint: build  ## include order, clang-tidy, formatting
	@scripts/lint.sh

format:  ## format the sources in place
	@git ls-files '*.cc' '*.h' | xargs clang-format-19 -i

install: build  ## install below PREFIX (/usr/local)
	@STOCKADE_FINAL_PREFIX=$(PREFIX) cmake --install build --prefix $(DESTDIR)$(PREFIX)

uninstall:  ## remove what install wrote
	@scripts/uninstall.sh $(DESTDIR)$(PREFIX)

clean:  ## remove the build folders
	@rm -rf build build-debug build-asan build-tsan build-fuzz build-fuzz-coverage build-fuzz-planted build-coverage
