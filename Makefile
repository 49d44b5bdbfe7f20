# Every target makes .venv and installs what is missing first. `make` alone lists them.
SHELL := /bin/sh
PY := .venv/bin/python
ARGS ?=
# Two at a time: half of the tests wait for processes. A file's tests stay together.
SIDE_BY_SIDE ?= -n 2 --dist loadfile
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help dev test check install providers bench demo client peers reset soak lock docs runtime-installed dev-installed

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: runtime-installed ## Serve on this machine, starting again on each change
	@$(PY) -m app serve --reload $(ARGS)

install: runtime-installed ## Install the server; then: .venv/bin/gob, or .venv/bin/python -m app

providers: ## Install what MODEL_PROVIDER=providers needs: Gemini, Groq, Mistral and others
	@sh ops/bootstrap.sh providers

test: dev-installed ## Run the tests; ARGS=tests/api narrows them
	@$(PY) -m pytest $(SIDE_BY_SIDE) $(ARGS)

check: dev-installed ## Check format, lint, imports, types and the rules of the house
	@.venv/bin/ruff format --check --quiet . || { echo "Not formatted; run: .venv/bin/ruff format ." >&2; exit 1; }
	@.venv/bin/ruff check --quiet .
	@.venv/bin/lint-imports
	@.venv/bin/basedpyright
	@$(PY) -m pytest tests/rules

soak: dev-installed ## Run the fault and property tests at full size
	@GOB_SOAK=1 $(PY) -m pytest -m soak $(ARGS)

bench: dev-installed ## Measure latency and CPU of runs and streams
	@$(PY) -m tests.bench $(ARGS)

demo: runtime-installed ## Fill the running server with something to look at
	@$(PY) -m app demo $(ARGS)

client: ## Make the TypeScript client's types and check it; needs Node
	@sh ops/client.sh

peers: dev-installed ## Try the model clients against servers of others; needs Node
	@sh ops/peers.sh
	@sh ops/bootstrap.sh providers
	@GOB_PEERS=1 $(PY) -m pytest -m peers tests/peers $(ARGS)

docs: dev-installed ## Write the generated pages again
	@$(PY) -m app.settings_page
	@$(PY) -m app.rest.api

reset: runtime-installed ## Delete the local database and key; refused while a server runs
	@$(PY) -m app reset

lock: ## Write the lock files again (UPGRADE=1 for newer versions); needs the network
	@sh ops/lock.sh

runtime-installed:
	@sh ops/bootstrap.sh runtime

dev-installed:
	@sh ops/bootstrap.sh dev
