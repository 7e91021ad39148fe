# What people type. Everything is built by CMake through the presets; this only puts the steps in order.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.NOTPARALLEL:

# The folders that hold C++ of ours.
FOLDERS := base oci llb frontend snapshotter cache solver exporter cmd tests bench
SOURCES = $(shell find $(FOLDERS) -name '*.h' -o -name '*.cc')
CONFIGURE := --log-level=NOTICE $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
# How many tests at once: they wait more than they compute, but share disks and cgroups.
TEST_JOBS ?= $(shell nproc)

.PHONY: deps image build test unit-asan tsan lint tidy format bench clean

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

## test: everything that must hold before a commit; ends with ctest's summary
test: deps lint unit-asan
	cmake --preset release $(CONFIGURE)
	cmake --build --preset release
	ctest --preset release -j$(TEST_JOBS)

## unit-asan: unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
# All of them; fewer with `make unit-asan ASAN_TESTS="unit_base unit_llb"`.
ASAN_TESTS ?= unit_tests
unit-asan: deps
	cmake --preset asan $(CONFIGURE)
	cmake --build --preset asan --target $(ASAN_TESTS)
	ctest --preset asan -j$(TEST_JOBS) -L '^($(subst $() $(),|,$(patsubst unit_tests,unit_.*,$(ASAN_TESTS))))$$'

## tsan: the concurrent units under ThreadSanitizer (Debian's oneTBB is not instrumented, so not what uses it)
tsan: deps
	cmake --preset tsan $(CONFIGURE)
	cmake --build --preset tsan --target unit_base unit_solver
	ctest --preset tsan -L '^unit_(base|solver)$$'

## lint: formatting
lint: deps
	@clang-format --dry-run -Werror $(SOURCES)

## format: rewrites the sources as clang-format wants them
format:
	clang-format -i $(SOURCES)

## tidy: clang-tidy over the compile database (slow)
tidy: deps
	cmake --preset dev $(CONFIGURE)
	cmake --build --preset dev
	run-clang-tidy -quiet -extra-arg=-Wno-unknown-warning-option -p build/dev '$(CURDIR)/($(subst $() $(),|,$(filter-out tests bench,$(FOLDERS))))/.*\.cc$$'

## bench: kiln beside the other builders that are installed
bench:
	scripts/install-deps bench
	$(MAKE) build
	bench/run

## clean: removes all that was built
clean:
	rm -rf build
