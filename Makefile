# What people type. Everything is built by CMake through the presets; this only puts the steps in order.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.NOTPARALLEL:

# The folders that hold C++ of ours.
FOLDERS := base oci llb frontend snapshotter cache solver exporter cmd tests bench
SOURCES = $(shell find $(FOLDERS) -name '*.h' -o -name '*.cc')
CONFIGURE := --log-level=NOTICE $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
# How many tests at once: one more than there are processors, since they wait too, but share disks and cgroups.
TEST_JOBS ?= $(shell expr $$(nproc) + 1)

.PHONY: deps image build test unit-asan fuzz tsan lint tidy format bench clean

## deps: installs the Debian packages that are missing
deps:
	@scripts/install-deps

## build: the kiln binary, build/release/cmd/kiln
build: deps
	cmake --preset release $(CONFIGURE)
	cmake --build --preset release --target kiln

## image: from a fresh Debian to a built, shown, run and rebuilt image
image: build
	scripts/sample

# What `make test` builds optimised. The unit tests it builds and runs once, under the sanitizers; `ctest --preset release`
# runs those too that were built by hand.
RELEASE_TESTS := kiln contract golden architecture e2e

## test: everything that must hold before a commit; ends with ctest's summary of all
test: deps lint
	cmake --preset asan $(CONFIGURE)
	cmake --build --preset asan --target unit_tests
	cmake --preset release $(CONFIGURE)
	cmake --build --preset release --target $(RELEASE_TESTS)
	@echo 'subdirs(asan release)' >build/CTestTestfile.cmake
	ctest --test-dir build --output-on-failure -j$(TEST_JOBS) -LE '^unit_[a-z]+$$'

## unit-asan: unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
# All of them, with a short run of each fuzz target; fewer with `make unit-asan ASAN_TESTS="unit_base unit_llb"`.
ASAN_TESTS ?= unit_tests
unit-asan: deps
	cmake --preset asan $(CONFIGURE)
	cmake --build --preset asan --target $(ASAN_TESTS)
	ctest --preset asan -j$(TEST_JOBS) -L '^sanitized\.($(subst $() $(),|,$(patsubst unit_tests,unit_.*|fuzz,$(ASAN_TESTS))))$$'

## fuzz: each fuzz target for FUZZ_SECONDS; what it finds interesting stays in build/fuzz/corpus, what breaks in build/fuzz/found-*
# Fewer targets: `make fuzz FUZZ="dockerfile llb" FUZZ_SECONDS=3600`.
FUZZ ?= dockerfile dockerignore shell_lex llb tar documents
FUZZ_SECONDS ?= 600
fuzz: deps
	cmake --preset fuzz $(CONFIGURE)
	cmake --build --preset fuzz --target $(addprefix fuzz_,$(FUZZ))
	@scripts/fuzz $(FUZZ_SECONDS) $(FUZZ)

## tsan: the concurrent units under ThreadSanitizer (Debian's oneTBB is not instrumented, so not what uses it)
tsan: deps
	cmake --preset tsan $(CONFIGURE)
	cmake --build --preset tsan --target unit_base unit_solver unit_cache unit_server
	ctest --preset tsan -L '^sanitized\.unit_(base|solver|cache|server)$$'

## lint: formatting
lint: deps
	@printf '%s\n' $(SOURCES) | xargs -P $(shell nproc) -n 50 clang-format --dry-run -Werror

## format: rewrites the sources as clang-format wants them
format:
	clang-format -i $(SOURCES)

## tidy: clang-tidy over the compile database (slow)
tidy: deps
	cmake --preset tidy $(CONFIGURE)
	cmake --build --preset tidy --target llb/ops.pb.h frontend/grammar/DockerfileParser.h
	run-clang-tidy -quiet -extra-arg=-Wno-unknown-warning-option -p build/tidy '$(CURDIR)/($(subst $() $(),|,$(filter-out tests bench,$(FOLDERS))))/.*\.cc$$'

## bench: kiln beside the other builders that are installed
bench:
	scripts/install-deps bench
	$(MAKE) build
	bench/run

## clean: removes all that was built
clean:
	rm -rf build
