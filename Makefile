# make test does all of its own set-up: a virtual environment with hash-locked dependencies.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Decisions and formats: every branch of theirs is tested.
PURE := $(addprefix */weightlock/,formats/* policy/* verdict/* reporting/* algorithms.py digests.py reasons.py) \
	*/weightlock_operator/decision/* \
	$(addprefix */weightlock_webhook/,mounts/* decision/* policy_test/* guards/*)
COMMA := ,
EMPTY :=

.PHONY: help test coverage mutants gpu-tests lint format bench wheel lock clean

help: ## what there is to make
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1|/p' $(MAKEFILE_LIST) | sort | awk -F'|' '{printf "  make %-18s %s\n", $$1, $$2}'

$(STAMP): requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed: make PYTHON=python3.11")'
	@echo "Making $(VENV): once, and again when dependencies change; about a minute"
	@$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest $(WORDS)

coverage: WORDS = --quiet --cov --cov-report=
coverage: test ## the tests, with the coverage that must be reached
	$(BIN)/coverage report --fail-under=90
	$(BIN)/coverage report --fail-under=100 --include='$(subst $(EMPTY) $(EMPTY),$(COMMA),$(strip $(PURE)))'

mutants: PATHS ?= webhook/weightlock_webhook/guards
mutants: TESTS ?= tests/unit/webhook_server/test_guards.py tests/unit/webhook_server/test_reviews.py
mutants: $(STAMP) ## break decisions in one place at a time, and list what no test notices: PATHS=... TESTS=...
	$(BIN)/python -m pytest -p bench.mutants $(addprefix --mutate ,$(PATHS)) -q --tb=no -p no:cacheprovider $(TESTS)

lint: $(STAMP) ## style, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

gpu-tests: $(STAMP) ## the tests that need a GPU, where there is one
	$(BIN)/python -m pytest -m gpu tests/gpu

bench: $(STAMP) ## measure the CPU engine beside hashlib and model_signing on this machine
	$(BIN)/python -m bench.cpu_engine

wheel: $(STAMP) ## build the wheel that the Dockerfile installs
	rm -f dist/weightlock-*.whl
	$(BIN)/python -m hatchling build --target wheel

lock: ## renew requirements/*.lock from pyproject.toml
	uv pip compile --universal --generate-hashes --no-header --no-emit-index-url \
	  --extra dev --extra operator --extra webhook --extra liboqs pyproject.toml requirements/build.in -o requirements/dev.lock

clean: ## remove the virtual environment and what was built
	rm -rf $(VENV) build dist

include e2e/cluster.mk
include e2e/observability.mk
include e2e/demo.mk
