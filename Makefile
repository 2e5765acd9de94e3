# Everything lives in .venv and, for `make competitors`, .venv-competitors; nothing outside this
# directory is changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
COMPETITORS := .venv-competitors
COMPETITORS_STAMP := $(COMPETITORS)/.installed

# Each test that starts a process would compile the gateway again.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
PIP_INSTALL := $(BIN)/python -m pip install --quiet
COMPILE_ANY := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
COMPILE := $(COMPILE_ANY) pyproject.toml --extra otel

.DEFAULT_GOAL := help
.PHONY: help install run test test-n8n coverage lint format types types-web bench report \
	competitors screenshots asyncapi lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

install: $(RUN_STAMP)  ## make .venv with the gateway and its simulator

run: $(RUN_STAMP)  ## start the gateway; HOST and PORT say where (make run PORT=9000)
	@exec $(BIN)/nabra serve

# mypy takes a minute without its cache: it gets the time that the tests leave.
test: lint  ## check style and types, and run the tests
	@types=$$(mktemp) || exit; \
	nice $(BIN)/mypy >"$$types" 2>&1 & mypy=$$!; \
	trap 'kill $$mypy 2>/dev/null; rm -f "$$types"; exit 130' INT TERM; \
	$(BIN)/python -m pytest --numprocesses 4 --dist loadgroup --benchmark-disable; tests=$$?; \
	wait $$mypy; typed=$$?; \
	cat "$$types"; rm -f "$$types"; \
	[ $$tests -eq 0 ] && [ $$typed -eq 0 ]

test-n8n: $(DEV_STAMP)  ## run the examples in a real n8n; needs npm and 2 GB, which it keeps in ~/.cache/nabra
	@$(BIN)/python -m tests.n8n

coverage: $(DEV_STAMP)  ## run the tests but those of the browser, and list the lines that none has run
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadgroup --benchmark-disable --ignore tests/browser \
		--cov app --cov-report term-missing:skip-covered

format: $(DEV_STAMP)  ## mend style and format where that can be done without thinking
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lint: $(DEV_STAMP)  ## check style and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(DEV_STAMP)  ## check types
	@$(BIN)/mypy

types-web:  ## check the page's JSDoc types; needs Node, which nothing else does
	@npx --yes -p typescript@5 tsc -p jsconfig.json

bench: $(DEV_STAMP)  ## measure (half an hour) and write docs/benchmarks.md (SCENARIOS=all or names)
	@$(BIN)/python -m bench $(SCENARIOS)
	@$(BIN)/python -m bench.report

report: $(DEV_STAMP)  ## write docs/benchmarks.md anew from what was measured last
	@exec $(BIN)/python -m bench.report

competitors: $(DEV_STAMP) $(COMPETITORS_STAMP)  ## measure Nabra beside Pipecat and LiveKit Agents
	@$(BIN)/python -m bench competitors
	@$(BIN)/python -m bench.report

screenshots: $(DEV_STAMP)  ## draw docs/images again, with an installed Chromium
	@$(BIN)/python docs/screenshots.py

asyncapi: $(RUN_STAMP)  ## write docs/asyncapi.json anew from the models of the client protocol
	@$(BIN)/python -m app.api.clients.native.asyncapi > docs/asyncapi.json

lock: $(DEV_STAMP)  ## resolve the dependencies again (UPGRADE=1 takes the newest)
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group build -o requirements.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group build --extra simulator \
		-o requirements-simulator.lock
	$(COMPILE) $(if $(UPGRADE),--upgrade) --group build --extra simulator --group dev \
		-o requirements-dev.lock
	cd bench/competing && ../../$(COMPILE_ANY) $(if $(UPGRADE),--upgrade) requirements.in \
		-o requirements.lock

clean:  ## remove .venv and all caches
	rm -rf $(VENV) $(COMPETITORS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null \
		|| { echo "nabra needs Python 3.11 or newer; there is no $(PYTHON) here (make PYTHON=/path/to/python)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "nabra needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" -V 2>&1) (make PYTHON=/path/to/python)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) (once; a minute or so)"
	@"$(PYTHON)" -m venv $(VENV)

# The dev lock holds all of the other, at the same versions: it satisfies both stamps, so that
# `make run` after `make test` changes nothing.
$(RUN_STAMP): requirements-simulator.lock pyproject.toml | $(BIN)/python
	@$(PIP_INSTALL) --require-hashes -r requirements-simulator.lock
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): requirements-dev.lock requirements-simulator.lock pyproject.toml | $(BIN)/python
	@$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $(RUN_STAMP) $@

$(COMPETITORS_STAMP): bench/competing/requirements.lock | $(BIN)/python
	@"$(PYTHON)" -m venv $(COMPETITORS)
	@$(COMPETITORS)/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@
