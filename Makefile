# Verbs of the project; `make` alone lists them. Python 3.11 or newer is all that `setup`, `run` and `test` need.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Modules compiled once start in a third of the time.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest
DELTA := 4.4.0
JARS := delta-spark_4.2_2.13 delta-storage
COPY_JAR := org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock'

.PHONY: help
help: ## List the verbs
	@grep -hE '^[a-z-]+:.* ## ' $(MAKEFILE_LIST) | awk -F ':.* ## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

.PHONY: setup
setup: $(BIN)/c360 ## Create .venv with the c360 command, from the lock

# An interrupted installation leaves no stamp, so the next call does it again.
.venv/.runtime: requirements-build.lock requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with make PYTHON=..." >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@echo "Installing into .venv ..."
	@$(PIP) install --require-hashes -r requirements-build.lock -r requirements.lock
	@touch $@

$(BIN)/c360: pyproject.toml .venv/.runtime
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Packages that come as source are built with the locked build tools, never with ones fetched on the way.
.venv/.dev: requirements-dev.lock | $(BIN)/c360
	@echo "Installing the tools of development into .venv ..."
	@$(PIP) install --require-hashes --no-build-isolation -r requirements-dev.lock
	@touch $@

.PHONY: run
run: setup ## Serve sample data on http://127.0.0.1:8000
	@$(BIN)/c360 up

.PHONY: test
test: .venv/.dev ## Run the tests; those whose part of the machine is missing (Java, PostgreSQL, ...) are skipped
	$(PYTEST) -n auto --dist loadgroup

.PHONY: test-long
test-long: .venv/.dev ## Run the long tests: crashes at random points, scale
	$(PYTEST) -m long

.PHONY: check
check: .venv/.dev ## Check style, types, imports, migrations and the rules of the repository
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) --quiet tests/rules
	@home=$$(mktemp -d); trap 'rm -rf "$$home"' EXIT; export C360_DATABASE_URL="sqlite:///$$home/control.db"; \
	$(BIN)/alembic upgrade head && $(BIN)/alembic check

.PHONY: format
format: .venv/.dev ## Format the code and fix what can be fixed without thought
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: openapi
openapi: .venv/.dev ## Write docs/openapi.json, which a test compares with what is served
	@$(BIN)/python -m api.openapi > docs/openapi.json

.PHONY: dictionary
dictionary: .venv/.dev ## Write docs/dictionary from the declarations, which a test compares
	@$(BIN)/python -m pipelines.dictionary docs/dictionary

.PHONY: bench
bench: .venv/.dev ## Run the benchmarks; each prints its figures beside a limit or a peer
	@for file in bench/[a-z]*.py; do name=$${file##*/}; echo "== $${name%.py}"; $(BIN)/python -m "bench.$${name%.py}"; done

.PHONY: jars
jars: ## Fetch the Delta jars for Spark into .jars (needs Maven and Java)
	@mkdir -p .jars
	@(cd .jars && sha256sum --check --quiet ../lakehouse/spark/jars.sha256 2>/dev/null) || { \
	command -v mvn >/dev/null || { echo "make jars needs Maven (mvn) and Java 17; install them and try again" >&2; exit 1; }; \
	for jar in $(JARS); do \
	mvn --batch-mode --quiet $(COPY_JAR) -Dartifact=io.delta:$$jar:$(DELTA) -DoutputDirectory="$$PWD/.jars"; done; \
	(cd .jars && sha256sum --check --quiet ../lakehouse/spark/jars.sha256); }

.PHONY: lock
lock: .venv/.dev ## Write the locks from pyproject.toml; make lock UPGRADE=1 takes newer versions
	$(LOCK) $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	$(LOCK) $(if $(UPGRADE),--upgrade) --extra spark --extra postgres --extra databricks --group dev \
	--constraints requirements.lock --output-file requirements-dev.lock
	$(LOCK) $(if $(UPGRADE),--upgrade) --extra postgres --constraints requirements-dev.lock --output-file requirements-postgres.lock
	$(LOCK:pyproject.toml=) $(if $(UPGRADE),--upgrade) --group build --constraints requirements-dev.lock \
	--output-file requirements-build.lock
