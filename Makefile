# Nightpress: set up, run and test with Python 3.11 or newer and make, nothing else.
# `make` lists the targets.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
RUNS ?= 1000
SEED ?= 1
MINUTES ?= 60

# What was given on make's command line (make plan FROM=…) becomes options of `nightpress` (--FROM=…), which refuses
# what it does not know. `value` keeps a $ as it is; the shell only ever sees a quoted variable.
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
OPTIONS_OF := $(filter-out ARGS PYTHON MAKEFLAGS MAKEOVERRIDES MFLAGS -*-command-variables-*-,$(GIVEN))
$(foreach name,$(OPTIONS_OF),$(eval export NIGHTPRESS_GIVEN_$(name) := $$(value $(name))))
OPTIONS := $(foreach name,$(OPTIONS_OF),--$(name)="$$NIGHTPRESS_GIVEN_$(name)")
NIGHTPRESS := $(BIN)/nightpress
TEST_HOME = AIRFLOW_HOME="$${AIRFLOW_HOME:-$(CURDIR)/.airflow/test}"

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run up look plan airflow ledger replay report prune test style chaos models fuzz mutation cluster cluster-test races compat bench reference screenshots lint format lock clean python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  command -v "$(PYTHON)" >/dev/null 2>&1 \
	    && echo "nightpress: $(PYTHON) is $$($(PYTHON) --version 2>&1); Python 3.11 or newer is needed." >&2 \
	    || echo "nightpress: there is no $(PYTHON); Python 3.11 or newer is needed." >&2; \
	  echo "Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }

setup: python ## make .venv and install what a run needs
	@$(PYTHON) -B launch/bootstrap.py run

setup-dev: python
	@$(PYTHON) -B launch/bootstrap.py dev

run: setup ## publish a day: [ARTICLES=file|folder|glob] [DAY=2026-11-22] [PIPELINE=] [MODEL=] [LIMIT=] [any field of the form]
	@exec $(NIGHTPRESS) run $(OPTIONS) $(ARGS)

up: setup ## start Airflow and its UI, and stay until Ctrl-C: [PORT=8080]
	@exec $(NIGHTPRESS) up $(OPTIONS) $(ARGS)

look: setup ## what a source holds, before anything is planned or paid: ARTICLES=file|folder|glob [ARGS="--content body"]
	@$(NIGHTPRESS) look "$${NIGHTPRESS_GIVEN_ARTICLES:?name a source: make look ARTICLES=path}" $(filter-out --ARTICLES=%,$(OPTIONS)) $(ARGS)

plan: setup ## what a backfill would cost, before it starts: FROM=2026-11-01 TO=2026-11-30 [PIPELINE=] [MODEL=]
	@$(NIGHTPRESS) plan $(OPTIONS) $(ARGS)

airflow: setup ## Airflow's own commands beside make up: ARGS="backfill create --dag-id article_summaries …"
	@$(NIGHTPRESS) airflow $(ARGS)

ledger: setup ## batches, owners and open questions; adopt or discard by hand: [ARGS="--open"]
	@$(NIGHTPRESS) ledger $(OPTIONS) $(ARGS)

replay: setup ## rebuild a published day from its kept raw results, without the API: DAY=2026-11-22 [PIPELINE=]
	@$(NIGHTPRESS) replay $(OPTIONS) $(ARGS)

report: setup ## write a day's report again, without Airflow: DAY=2026-11-22 [PIPELINE=]
	@$(NIGHTPRESS) report $(OPTIONS) $(ARGS)

prune: setup ## what is stored, and what of it may go; removes that with ARGS=--yes: [DAYS=30]
	@$(NIGHTPRESS) prune $(OPTIONS) $(ARGS)

test: $(if $(ARGS),lint,style) ## lint, types, import contracts and all tests: [ARGS="-k name"]
	@$(TEST_HOME) $(BIN)/python -m tests $(ARGS)

chaos: setup-dev ## kill a run at every step, then RUNS random runs from SEED on: [RUNS=1000] [SEED=1]
	@$(BIN)/python -m tests.chaos $(RUNS) $(SEED)

fuzz: setup-dev ## damage small inputs of every reader for a time: [MINUTES=60] [SEED=1] [ARGS="--only reader"]
	@PYTHONPATH=.:include:plugins $(TEST_HOME) $(BIN)/python -m tests.fuzz $(MINUTES) $(SEED) $(ARGS)

cluster: setup-dev ## Celery, Postgres, Redis and S3 on this machine, to see and to break: [ARGS=--once]
	@exec $(BIN)/python -m launch.cluster $(ARGS)

races: setup-dev ## two processes race for the right to POST, on SeaweedFS and moto: [RACES=10000]
	@$(BIN)/python -m tests.support.races $(or $(RACES),10000)

cluster-test: setup-dev ## break the cluster in every way; tests/cluster is the sampled form of it
	@NIGHTPRESS_CLUSTER_SWEEP=1 AIRFLOW_HOME="$${AIRFLOW_HOME:-$(CURDIR)/.airflow/test}" $(BIN)/python -m pytest tests/cluster $(ARGS)

compat: setup-dev ## what depends on Airflow, against other versions of it: [ARGS="3.3.0 3.4.0b2"]
	@$(BIN)/python -m launch.compat $(ARGS)

bench: setup-dev ## speed and memory beside the alternatives, goals beside what was measured: [QUICK=1] [ARGS="submit polls"]
	@exec $(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(ARGS)

models: setup-dev ## the sample through Airflow with every model of the catalogue, on the offline API
	@$(TEST_HOME) $(BIN)/python -m tests.support.every_model

mutation: setup-dev ## remove each safeguard of the submission in turn; a test must go red: [ARGS="--only d,e"]
	@$(BIN)/python -m tests.mutation.check_safeguards $(ARGS)

screenshots: setup-dev ## take the pictures of the docs again, in a terminal and in headless Chromium, from runs on the offline API
	@PYTHONPATH=.:include:plugins $(TEST_HOME) $(BIN)/python -m tests.support.look_pictures
	@PYTHONPATH=.:include:plugins $(BIN)/python -m tests.support.run_picture docs/images/run.svg
	@NIGHTPRESS_SCREENSHOTS=docs/images $(TEST_HOME) $(BIN)/python -m pytest -q tests/integration/project_dags/test_by_hand.py

reference: setup-dev ## write docs/reference.md anew from the code
	@AIRFLOW_HOME="$${AIRFLOW_HOME:-$(CURDIR)/.airflow/test}" $(BIN)/python -m launch.reference

lint: style ## ruff, mypy and import contracts
	@$(BIN)/mypy

style: setup-dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: make format" >&2; exit 1; }
	@PYTHONPATH=.:include:plugins $(BIN)/lint-imports --no-cache

format: setup-dev ## format the code and fix what ruff can fix
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

lock: python ## resolve requirements anew into the locks, with hashes
	@$(PYTHON) -B launch/bootstrap.py lock

clean: python ## remove .venv, .airflow and caches; data/ stays
	@$(PYTHON) -B launch/bootstrap.py clean
