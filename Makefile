# The commands that people and CI run. `make run` starts the arena; `make test` checks everything.
# Other interpreters and indexes: `make run PYTHON=python3.12 PIP_ARGS="--extra-index-url ..."`.

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input install -q $(PIP_ARGS)

.DEFAULT_GOAL := run
.PHONY: run test soak check format bench embedded schema chromium help

run: $(VENV)/.run-stamp  ## start the arena on http://127.0.0.1:7860
	$(PY) app.py

test: $(VENV)/.dev-stamp chromium  ## every test; pass more with PYTEST_ARGS="-k ledger"
	$(PY) -m pytest $(PYTEST_ARGS)

soak: $(VENV)/.dev-stamp  ## the fault suite at length: SOAK_MINUTES (default 30), SOAK_SEED (default 1)
	SOAK_HISTORIES=100 $(PY) -m pytest -q tests/faults
	$(PY) -m tests.faults.soak

check: $(VENV)/.dev-stamp  ## style, and whether arena.yaml is sound
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m arena check

format: $(VENV)/.dev-stamp  ## let ruff tidy the code
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(VENV)/.dev-stamp  ## every script of benchmarks/, one table each
	@set -e; for script in benchmarks/[!_]*.py; do echo "== $$script"; PYTHONPATH=. $(PY) "$$script"; done

embedded: $(VENV)/.dev-stamp  ## train the embedded demonstration models anew (hours on two cores)
	$(PY) -m arena.embedded

schema: $(VENV)/.run-stamp  ## write the JSON schema with which editors complete arena.yaml
	$(PY) -c "from arena.config import json_schema; print(json_schema(), end='')" > arena/arena.schema.json

help:  ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

# A stamp is newer than what it was made from: nothing is installed again until the file changes.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Image Arena needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-stamp: requirements.txt | $(VENV)/bin/python
	@echo "Installing requirements.txt into $(VENV) (the first time takes some minutes: torch is large)"
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.dev-stamp: requirements-dev.txt requirements-ray.txt $(VENV)/.run-stamp
	@echo "Installing requirements-dev.txt into $(VENV)"
	$(PIP) -r requirements-dev.txt
	@touch $@

# The browser tests want a Chromium. Installed only where it is missing and only where that needs no password.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  if ! command -v apt-get >/dev/null; then sudo=none; \
	  elif [ "$$(id -u)" = 0 ]; then sudo=; \
	  elif sudo -n true 2>/dev/null; then sudo="sudo -n"; \
	  else sudo=none; fi; \
	  if [ "$$sudo" = none ]; then \
	    echo "make test: the browser tests need Chromium; install it (for instance: sudo apt-get install chromium) and run again" >&2; \
	    exit 1; \
	  fi; \
	  echo "Installing Chromium for the browser tests"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  $$sudo apt-get update -q && $$sudo apt-get install -qy --no-install-recommends chromium fonts-liberation; \
	} </dev/null
