# Two commands for a fresh machine (Python 3.11+, pip, make): `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
ARGS   ?=
# Many tests wait for processes of theirs: more workers than processors keep two busy.
WORKERS ?= 4
CYCLES ?= 300

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow thorough engines crashes fuzz lint check-protos check-readme bench protos lock clean

help: ## Show what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A stamp is renewed when what is to be installed changes. `demo` needs no development tools.
$(VENV)/.runtime: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Credence needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "setting up $(VENV): installing the locked dependencies, once; this takes a minute or two"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) 'pip==25.3'
	@$(PIP) -c requirements.lock 'torch==2.13.0'
	@$(PIP) -c requirements.lock -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "installing the development tools, once"
	@$(PIP) -c requirements.lock --group dev --group bench
	@touch $@

setup: $(VENV)/.dev ## Make the virtual environment and install the locked dependencies

demo: $(VENV)/.runtime ## Run the whole network on this machine (ARGS="--once --json out.json")
	@$(BIN)/credence demo $(ARGS)

test: setup ## Run the tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

thorough: setup ## The tests with ten times the generated examples (most of an hour)
	@HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

slow: setup ## The tests that take long: networks of processes, real data, a campaign in a browser
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m slow $(ARGS)

engines: setup ## Test the training apps on Flower's own engines (minutes; needs ".[simulation]" for one)
	@$(BIN)/python -m pytest -m engines tests/engines $(ARGS)

crashes: setup ## Kill appending processes by the hundred, on each database (CYCLES=300)
	@$(BIN)/python -m pytest -n 2 --timeout 3600 --cycles $(CYCLES) tests/audit/test_crash.py $(ARGS)

fuzz: setup ## Fuzz what parses bytes from outside (ARGS="envelope --seconds 300")
	@$(BIN)/python -m tests.fuzz $(ARGS)

lint: setup ## Style, types, import arrows, stubs, wire contract, pages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@PATH=$(BIN):$$PATH scripts/protos --check
	@$(BIN)/python -m scripts.proto_compat
	@$(BIN)/python -m scripts.error_codes --check
	@$(BIN)/python -m scripts.limits --check
	@$(BIN)/python -m scripts.vectors --check
	@$(BIN)/python -m scripts.check_readme

bench: setup ## Measure, each figure beside its floor
	@$(BIN)/python -m benchmarks $(ARGS)

protos: setup ## Regenerate the protobuf stubs
	@PATH=$(BIN):$$PATH scripts/protos

lock: ## Resolve the newest allowed versions anew into requirements.lock
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet 'pip==25.3'
	@.venv-lock/bin/python -m pip install --quiet 'torch==2.13.0'
	@.venv-lock/bin/python -m pip install --quiet . --group dev --group bench
	@{ echo "# Written by 'make lock': the versions every build uses."; \
	   .venv-lock/bin/python -m pip freeze --exclude credence --exclude pip | sed 's/^torch==.*/torch==2.13.0/'; } > requirements.lock
	@rm -rf .venv-lock build

clean: ## Remove what this Makefile made
	@rm -rf $(VENV) .venv-lock build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
