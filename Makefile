# Everything a checkout needs, with nothing but Python 3.11 or 3.12, git and make.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --no-input --disable-pip-version-check
# More words for the command that a target runs: make test ARGS="-k lateness"
ARGS ?=
# A Python of your own choice: make setup PYTHON=/opt/python3.12/bin/python3
PYTHON ?=
UV ?= uv

# A name on PATH may be a shim for a version that isn't there, or lack the venv module: so each is tried.
CANDIDATES := $(PYTHON) python3.12 python3.11 python3
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))

# A stamp is newer than the files that its step was made from, so a step is done again only when they change.
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo setup runtime test check format lint types contracts audit bench lock clean

help:  ## Show this list
	@echo "make TARGET [ARGS=...]"; echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1	\2/p' $(MAKEFILE_LIST) | while IFS='	' read -r target text; \
		do printf '  %-8s %s\n' "$$target" "$$text"; done

demo: runtime  ## See it work: everything embedded, Ctrl-C ends it
	@$(BIN)/breakwater demo $(ARGS)

setup: $(DEV)  ## Make .venv with the locked dependencies, for work on the code
	@:

test: setup  ## Run the tests
	@echo "==> Running the tests"
	@# In alphabetical order: what is left for the end are short files, and all processes end together.
	@$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: format lint types contracts audit  ## Format, lint, types, import rules, known vulnerabilities

format: setup
	@echo "==> Checking the format"
	@$(BIN)/ruff format --check .

lint: setup
	@echo "==> Linting"
	@$(BIN)/ruff check .

types: setup
	@echo "==> Checking types"
	@$(BIN)/mypy

contracts: setup
	@echo "==> Checking who imports whom"
	@$(BIN)/lint-imports

audit: setup
	@echo "==> Looking for known vulnerabilities in the locked dependencies"
	@$(BIN)/pip-audit --require-hashes --disable-pip --progress-spinner off --format json \
		-r requirements/runtime.txt -r requirements/dev.txt 2>/dev/null | $(BIN)/python .ci/audit.py

bench: setup  ## Measure the throughput
	@$(BIN)/python -m benchmarks.throughput $(ARGS)

lock:  ## Pin the newest fitting versions of requirements/*.in (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv (pip install uv), or its path: make lock UV=PATH"; exit 1; }
	cd requirements && for part in runtime dev; do \
		$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--no-header --upgrade --output-file $$part.txt $$part.in || exit 1; done

clean:  ## Remove .venv, caches and what the demo left
	rm -rf $(VENV) .cache .demo .coverage build dist *.egg-info
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

runtime: $(RUNTIME)
	@:

$(BIN)/python:
	@for python in $(CANDIDATES); do \
		if $$python -c '$(FITS)' >/dev/null 2>&1; then \
			echo "==> Making $(VENV) with $$($$python -V)"; \
			$$python -m venv --clear $(VENV); exit $$?; \
		fi; \
	done; \
	echo "Python 3.11 or 3.12 with its venv module is needed; tried: $(strip $(CANDIDATES))." >&2; \
	echo "Install one (on Debian and Ubuntu: python3-venv too), or say where it is: make PYTHON=/path/to/python3.12" >&2; \
	exit 1

# Order only: the interpreter behind the link may be older or newer than anything here.
$(RUNTIME): requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "==> Installing the locked dependencies (the first time this takes a minute)"
	@# Puts right a venv whose making was interrupted.
	@$(BIN)/python -m ensurepip >/dev/null
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@# setuptools warns that packages lie beside the project file; they do, on purpose.
	@PYTHONWARNINGS=ignore $(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	@echo "==> Installing the locked tools for checks and tests"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
