# `make` alone explains itself: the text after `##` is the help.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:

# The first of these that runs and is new enough; or say `make PYTHON=… test`.
CANDIDATES := python3.13 python3.12 python3.11 python3
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

# Python keeps what it compiled, even where the environment says otherwise: each of the hundreds of
# processes that the tests start would compile everything anew, and so would each worker.
export PYTHONDONTWRITEBYTECODE :=

VENV ?= .venv
VENV_OLDEST := .venv-oldest
VENV_HOSTS := .venv-older-hosts
VENV_BENCH := .venv-bench

# The demo needs the core alone, which is there in seconds.
VENV_DEMO := $(if $(wildcard $(VENV)/.stamp),$(VENV),.venv-demo)

# Which dependency group of pyproject.toml goes into $(VENV).
GROUP ?= dev

# A second `make` in the same checkout waits for the first one's environment.
LOCK := $(if $(shell command -v flock),flock .venv.lock)

# Python compiles the modules that it loads. To compile all would take most of the time.
INSTALL := -m pip -qq --disable-pip-version-check install --no-compile

WORKERS ?= auto
PARALLEL := -n $(WORKERS) --maxprocesses 8 --dist worksteal
PYTEST_ARGS ?=

# By default each run draws one case of each test, a few more of the many, and some of the tests that
# take long. `make test CASES=few` tries about twice as many, as CI does, `CASES=some` also all long
# tests, and `CASES=all` all cases of each test.
CASES ?= one

# The last one that runs on Node.js 20.
AZURITE := 3.35.0

RESTATE := 1.7.12

# For instance: make mutants MUTANTS_ARGS="--minutes 5 'moorage.domain.resilience.bucket.*'"
MUTANTS_ARGS ?=

# For instance: make bench BENCH_ARGS="--rounds 200 full_stack 'http_clients*'"
BENCH_ARGS ?=

.PHONY: help
help:  ## Print this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(VENV_DEMO)/.stamp  ## Tell the story: a day of a business on vendors that fail in every way
	@$(VENV_DEMO)/bin/python -m moorage.demo

.PHONY: erp-django
erp-django: $(VENV)/.stamp  ## Start a small ERP in Django with local vendors, and print its URL
	@cd adapters-examples && ../$(VENV)/bin/python -m local_vendors django $(PORT)

.PHONY: erp-flask
erp-flask: $(VENV)/.stamp  ## Start a small ERP in Flask with local vendors, and print its URL
	@cd adapters-examples && ../$(VENV)/bin/python -m local_vendors flask $(PORT)

.PHONY: test
test: $(VENV)/.stamp  ## Run the tests, with some of their cases; what needs a missing server is skipped
	@$(VENV)/bin/python -m pytest $(PARALLEL) --cases=$(CASES) $(PYTEST_ARGS)

.PHONY: check
check: lint types architecture changelog coverage  ## Everything a commit must pass: lint, types, layers, changelog, coverage

# The steps of `check`, for when one of them is red.
SCRIPTS = $(wildcard tools)

.PHONY: lint
lint: $(VENV)/.stamp
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/python -m tools.words
	@$(VENV)/bin/python -m tools.twins --check
	@$(VENV)/bin/python -m tools.inlined --check

# With Node's usual limit, basedpyright forgets what it knows of types many times, and takes half as
# long again.
.PHONY: types
types: $(VENV)/.stamp
	@$(VENV)/bin/mypy src tests $(SCRIPTS)
	@NODE_OPTIONS=--max-old-space-size=6144 $(VENV)/bin/basedpyright

.PHONY: architecture
architecture: $(VENV)/.stamp
	@$(VENV)/bin/lint-imports

# A fragment that towncrier cannot place is an error, so a draft is a check.
.PHONY: changelog
changelog: $(VENV)/.stamp
	@$(VENV)/bin/towncrier build --draft --version next --date 2000-01-01 > /dev/null

.PHONY: coverage
coverage: $(VENV)/.stamp
	@HYPOTHESIS_PROFILE=ci $(VENV)/bin/python -m pytest $(PARALLEL) \
		--cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

.PHONY: format
format: $(VENV)/.stamp  ## Format the code and apply the safe fixes
	@$(VENV)/bin/ruff format
	@$(VENV)/bin/ruff check --fix
	@$(VENV)/bin/python -m tools.twins
	@$(VENV)/bin/python -m tools.inlined
	@$(VENV)/bin/ruff format

.PHONY: test-oldest
test-oldest: $(VENV_OLDEST)/.stamp  ## Run the tests with the oldest core dependencies we promise
	@$(VENV_OLDEST)/bin/python -m pytest $(PARALLEL) --cases=$(CASES) $(PYTEST_ARGS)

.PHONY: test-older-hosts
test-older-hosts: $(VENV_HOSTS)/.stamp  ## Run the Flask extension with what older hosts have pinned
	@$(VENV_HOSTS)/bin/python -m pytest $(PARALLEL) --cases=$(CASES) $(PYTEST_ARGS) tests/embedding/flask

.PHONY: mutants
mutants: $(VENV)/.stamp  ## Break domain and services on purpose; every survivor needs an explanation
	@HYPOTHESIS_PROFILE=mutants $(VENV)/bin/python -m tools.mutants $(MUTANTS_ARGS)

.PHONY: bench
bench: $(VENV_BENCH)/.stamp  ## Measure moorage beside its peers, in an environment of its own
	@PYTHONPATH=. $(VENV_BENCH)/bin/python benchmarks/run.py $(BENCH_ARGS)

.PHONY: correctness
correctness: $(VENV_BENCH)/.stamp  ## Let the same faults happen to moorage and its peers; FAULTS=… names some
	@PYTHONPATH=.:benchmarks $(VENV_BENCH)/bin/python benchmarks/correctness.py $(FAULTS)

.PHONY: store-costs
store-costs: $(VENV_BENCH)/.stamp  ## Measure what a call costs a Redis, and so how many calls it serves
	@PYTHONPATH=.:benchmarks $(VENV_BENCH)/bin/python benchmarks/store_costs.py

.PHONY: table-costs
table-costs: $(VENV_BENCH)/.stamp  ## Measure what calls cost a PostgreSQL, in time, log and space
	@PYTHONPATH=.:benchmarks $(VENV_BENCH)/bin/python benchmarks/table_costs.py

ENTRIES ?= 10000000

.PHONY: log-pages
log-pages: $(VENV_BENCH)/.stamp  ## Measure pages of an integration log with ENTRIES=10000000 entries
	@PYTHONPATH=. $(VENV_BENCH)/bin/python benchmarks/log_pages.py $(ENTRIES)

.PHONY: fleet
fleet: $(VENV_BENCH)/.stamp  ## Measure what calls cost a Redis, and model a fleet with one hot limit
	@PYTHONPATH=.:benchmarks $(VENV_BENCH)/bin/python -m benchmarks.fleet

.PHONY: processes
processes: $(VENV_BENCH)/.stamp  ## Measure how processes return after an outage, and how workers add up
	@PYTHONPATH=.:benchmarks $(VENV_BENCH)/bin/python benchmarks/processes.py

CLUSTER ?= cluster.json

.PHONY: test-kubernetes
test-kubernetes: $(VENV)/.stamp  ## Test steps on the Kubernetes whose settings are in CLUSTER=cluster.json
	@MOORAGE_TEST_KUBERNETES=$(CLUSTER) $(VENV)/bin/python -m pytest -p no:randomly \
		tests/steps/real_cluster.py tests/steps/test_kubernetes_cluster.py

SCHEDULES ?= 10000

.PHONY: simulate
simulate: $(VENV)/.stamp  ## Run SCHEDULES=10000 random schedules of workers, faults and clocks
	@$(VENV)/bin/python -m tests.simulation $(SCHEDULES)

INPUTS ?= 100000

.PHONY: fuzz
fuzz: $(VENV)/.stamp  ## Send INPUTS=100000 damaged webhooks to each family of schemes
	@$(VENV)/bin/python -m tools.fuzz $(INPUTS)

.PHONY: operations
operations: $(VENV)/.stamp  ## Write the classes of the contracts from their declarations
	@$(VENV)/bin/python -m tools.operations

.PHONY: docs
docs: $(VENV)/.stamp  ## Build the documentation into build/docs
	@$(VENV)/bin/python -m tools.site
	@echo "build/docs/index.html"

.PHONY: dist
dist: $(VENV)/.stamp  ## Build wheel, sdist and bill of materials into dist, and check them
	@$(VENV)/bin/python -m tools.distribution

EXTRAS ?=

.PHONY: extras
extras: $(VENV)/.stamp  ## Install EXTRAS=… or all, each alone, and import what it is for
	@$(VENV)/bin/python -m tools.extras $(EXTRAS)

PAGES ?=

.PHONY: pages
pages: $(VENV)/.stamp  ## Follow PAGES=… or all, with only what each page installs
	@$(VENV)/bin/python -m tools.pages_in_fresh_environments $(PAGES)

.PHONY: azurite
azurite: build/azurite/$(AZURITE).stamp  ## Install Microsoft's Azure Storage for this machine, for its tests

build/azurite/$(AZURITE).stamp:
	@command -v npm > /dev/null || { echo >&2 "Azurite needs Node.js and npm"; exit 1; }
	@echo "installing Azurite $(AZURITE)"
	@rm -rf build/azurite && mkdir -p build/azurite
	@npm install --prefix build/azurite --silent --no-audit --no-fund --omit=dev azurite@$(AZURITE)
	@touch $@

.PHONY: airflow
airflow: .venv-airflow/.stamp  ## Run the flow of an ERP in Airflow, in an environment of its own
	@PYTHONPATH=.:adapters-examples .venv-airflow/bin/python -m pytest -q -p no:cacheprovider \
		--noconftest --rootdir . -c /dev/null tests/embedding/test_airflow_flow.py

.PHONY: restate
restate: build/restate/$(RESTATE).stamp  ## Install the server of Restate for this machine, for its tests

build/restate/$(RESTATE).stamp:
	@command -v npm > /dev/null || { echo >&2 "Restate's server needs npm"; exit 1; }
	@echo "installing the server of Restate $(RESTATE)"
	@rm -rf build/restate && mkdir -p build/restate
	@npm install --prefix build/restate --silent --no-audit --no-fund --omit=dev \
		@restatedev/restate-server@$(RESTATE)
	@touch $@

.PHONY: dev
dev: $(VENV)/.stamp  ## Only build the environment, .venv

.PHONY: clean
clean:  ## Remove the environments and everything built
	rm -rf .venv .venv-* .venv.lock build dist mutants .coverage* \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# --- environments -------------------------------------------------------------

# $(call environment,folder,constraints,arguments of pip install)
define environment
	@test -n "$(PYTHON)" || { echo >&2 "moorage needs Python 3.11 or newer with venv and pip, and\
	 none of $(CANDIDATES) is that. Install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	@echo "building $(1) with $$($(PYTHON) --version)"
	@$(LOCK) $(SHELL) $(.SHELLFLAGS) ' \
		test -x $(1)/bin/pip || { rm -rf $(1) && $(PYTHON) -m venv $(1); }; \
		$(1)/bin/python $(INSTALL) -c $(2) pip hatchling editables setuptools wheel; \
		$(1)/bin/python $(INSTALL) -c $(2) --no-build-isolation -e . $(3); \
		touch $(1)/.stamp'
endef

# What connects with the frameworks is there too: what is scaffolded for them imports it.
EMBEDDINGS := $(addprefix adapters-examples/moorage-,django flask)

$(VENV)/.stamp: pyproject.toml constraints.txt $(EMBEDDINGS:=/pyproject.toml)
	$(call environment,$(VENV),constraints.txt,--group $(GROUP) $(EMBEDDINGS:%=-e %))

.venv-demo/.stamp: pyproject.toml constraints.txt
	$(call environment,.venv-demo,constraints.txt,)

# The test tools of today around the core dependencies of old.
$(VENV_OLDEST)/.stamp: pyproject.toml constraints.txt constraints-oldest.txt
	@mkdir -p build
	@cut -d= -f1 constraints-oldest.txt | grep -v '^#' | sed 's/.*/^&==/' \
		| grep -v -f - constraints.txt | cat - constraints-oldest.txt > build/oldest.txt
	$(call environment,$(VENV_OLDEST),build/oldest.txt,--group test)

# The test tools of today around the frameworks that older hosts have pinned.
$(VENV_HOSTS)/.stamp: pyproject.toml constraints.txt constraints-older-hosts.txt \
		adapters-examples/moorage-flask/pyproject.toml
	@mkdir -p build
	@cut -d= -f1 constraints-older-hosts.txt | grep -v '^#' | sed 's/.*/^&==/' \
		| grep -v -f - constraints.txt | cat - constraints-older-hosts.txt > build/older-hosts.txt
	$(call environment,$(VENV_HOSTS),build/older-hosts.txt,--group older-hosts \
		-e adapters-examples/moorage-flask)

# Airflow pins more than a hundred packages, so that it is apart.
.venv-airflow/.stamp: pyproject.toml
	$(call environment,.venv-airflow,/dev/null,apache-airflow-task-sdk pytest)

$(VENV_BENCH)/.stamp: pyproject.toml constraints.txt benchmarks/requirements.txt
	$(call environment,$(VENV_BENCH),constraints.txt,-r benchmarks/requirements.txt)
