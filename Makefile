# Everything a person or CI does with a checkout. What a target needs it makes, by tools/setup; a second run is quick.

PYTHON ?= python3
export PYTHON
# Debian keeps mosquitto where only root looks for programs.
export PATH := $(PATH):/usr/sbin:/sbin

# Folders too, so that a file that was deleted counts as a change.
SOURCES := $(shell find gateway devices systemd config -name __pycache__ -prune -o -print) pyproject.toml README.md LICENSE

.PHONY: help demo test check deb bench faults faults-detect fuzz clean servers

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

demo: .venv/gateway ## watch sensor readings go into Kafka and anomalies come out; needs no Java, touches nothing else
	.venv/bin/gatewayctl demo

# Isolated, so that the tests meet the installed wheel and not the checkout they stand in. Most of the time tests wait for
# servers: two at a time take half as long. Each of them has a Kafka of its own, of half a gigabyte.
WORKERS ?= 2

test: .venv/dev servers ## run all tests, WORKERS=2 at a time, on a real Kafka, a real mosquitto and real serial lines
	.venv/bin/python -Im pytest --numprocesses $(WORKERS) --dist worksteal

check: .venv/dev ## run the linter, the formatter's check, the type checker, the check of the imports, and the audit of the libraries
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python -I tools/audit.py

# VERSION: that of a release. ARCHITECTURES need no machine of their own.
VERSION ?=
ARCHITECTURES ?= amd64 arm64

deb: .venv/gateway ## build the Debian packages for ARCHITECTURES="amd64 arm64" into dist
	tools/debian/build "$(VERSION)" $(ARCHITECTURES)

bench: .venv/dev servers ## measure rates, processor time, latency and memory
	.venv/bin/python tests/bench/run.py

# The names of faults are those of the table; none: all of them. Runs side by side need seeds of their own.
ROUNDS ?= 20
SEED ?= 1
SPILL_AFTER ?= 1
FAULTS ?=

faults: .venv/dev servers ## play ROUNDS=20 of random faults from SEED=1, with SPILL_AFTER=1 and all FAULTS=a,b,c; count what they cost
	.venv/bin/python tests/faults/laboratory.py --rounds $(ROUNDS) --seed $(SEED) --spill-after $(SPILL_AFTER) --faults "$(FAULTS)"

# Test by test, so that many examples are no test that hangs; what fails is tried first the next time.
EXAMPLES ?= 10000

fuzz: .venv/dev ## try framings, checksums and decoders on EXAMPLES=10000 a test of damaged and strange input
	FUZZ_EXAMPLES=$(EXAMPLES) .venv/bin/python -Im pytest --timeout=0 --hypothesis-show-statistics \
		tests/unit/test_framing.py tests/unit/test_framing_checksums.py tests/unit/test_framing_counts.py \
		tests/unit/test_decoder_any_input.py tests/unit/test_decoder_any_settings.py

faults-detect: .venv/dev servers ## play ROUNDS=20 of random faults from SEED=1 against three processes of gateway-detect; compare
	.venv/bin/python tests/faults/detect_laboratory.py --rounds $(ROUNDS) --seed $(SEED) --faults "$(FAULTS)"

clean: ## remove everything that these targets have made, the Kafka jars included
	rm -rf .venv .cache dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# Each stamp names what is complete: the environment, the gateway in it, the tools for tests and checks.
.venv/made:
	@tools/setup environment

.venv/gateway: .venv/made $(SOURCES)
	@tools/setup gateway

.venv/dev: pyproject.toml | .venv/gateway
	@tools/setup dev

servers:
	@tools/setup servers
