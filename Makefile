# make help      this list
# make demo      set up, then take synthetic deliveries to a released research dataset
# make ui        the Dagster UI over what the demo made
# make check     formatting, lint, import law, types, generated files, definitions
# make unit      the tests of contracts and of single rooms
# make pipeline  the slow tests: curated tables, the whole graph, privacy, kills
# make test      set up, then run all tests but those of Spark
# make coverage  branch coverage of the rooms where a fault would show an identity, by their own tests
# make mangle    every delivery spoilt in every way that is known: equal, refused, or a fault
# make test-spark  the linkage engine on Spark, in an environment of its own
# make generated are the generated files current?
# make lock      renew requirements.lock from pyproject.toml
# make clean     take away environments, data and what dbt compiled
# make validator-page  the check of a return as a static folder for a web browser (needs npm)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SPARK := .venv-spark
SPARK_READY := $(SPARK)/.ready

export DAGSTER_DISABLE_TELEMETRY := yes
export DO_NOT_TRACK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# Modules stay compiled between the many processes of a test run, whatever the machine prefers: else
# each of them compiles all of it anew (6 processor seconds to collect the tests, measured).
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo validator-page test coverage unit pipeline mangle test-spark ui check generated lock setup clean

help:
	@sed -n 's/^# //p' $(firstword $(MAKEFILE_LIST)) | sed '/^Modules/,$$d'

demo: $(READY)
	$(BIN)/linked-cyp demo

test: $(READY)
	$(BIN)/pytest -n 2 --dist loadscope

unit: $(READY)
	$(BIN)/pytest -n 2 --dist loadscope linked_cyp_tests/unit linked_cyp_tests/contracts

pipeline: $(READY)
	$(BIN)/pytest -n 2 --dist loadscope linked_cyp_tests/pipeline linked_cyp_tests/privacy \
	  linked_cyp_tests/faults

coverage: $(READY)
	$(BIN)/pytest -n 2 --dist loadscope --cov --cov-report=term linked_cyp_tests/contracts \
	  $(addprefix linked_cyp_tests/unit/,core contracts identity stores pseudonymise opt_outs release)

mangle: $(READY)
	$(BIN)/python -m linked_cyp_tests.mangled

test-spark: $(READY) $(SPARK_READY)
	LINKED_CYP_SPARK_PYTHON=$(CURDIR)/$(SPARK)/bin/python $(BIN)/pytest linked_cyp_tests/spark

ui: $(READY)
	$(BIN)/linked-cyp ui

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(MAKE) --no-print-directory generated
	$(BIN)/dagster definitions validate -w workspace.yaml
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/dg check defs

generated: $(READY)
	$(BIN)/linked-cyp generate --check schema seeds feeds dictionary graph

# npm's packages are fetched at build time, by the hashes of package-lock.json; nothing of theirs runs here.
validator-page: $(READY)
	mkdir -p .npm
	cp linked_cyp/supplier/browser/package.json linked_cyp/supplier/browser/package-lock.json .npm
	npm ci --prefix .npm --ignore-scripts --no-audit --no-fund
	sed -n '/^python-calamine==/,/[^\\]$$/p' requirements.lock > .npm/workbooks.txt
	$(PYTHON) -m pip download --quiet --require-hashes --no-deps --only-binary :all: --dest .npm \
		--platform pyemscripten_2026_0_wasm32 --implementation cp --python-version 3.14 --abi cp314 \
		--requirement .npm/workbooks.txt
	$(BIN)/python -m linked_cyp.supplier.browser.build validator-page .npm/node_modules

setup: $(READY)

# A plain Debian python3 has venv but not always pip inside it, so pip works from outside.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes --no-deps --requirement requirements.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps --no-build-isolation --editable .
	touch $(READY)

$(SPARK_READY): requirements-spark.lock
	$(PYTHON) -m venv --without-pip $(SPARK)
	$(PYTHON) -m pip --python $(SPARK)/bin/python install --quiet --require-hashes --no-deps --requirement $<
	touch $@

lock:
	$(PYTHON) -m pip --python $(BIN)/python install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --strip-extras --no-emit-index-url --no-header --no-annotate \
	  --output-file requirements.lock
	$(BIN)/uv pip compile requirements-spark.txt --universal --python-version 3.11 \
	  --generate-hashes --strip-extras --no-emit-index-url --no-header --no-annotate \
	  --output-file requirements-spark.lock

clean:
	rm -rf $(VENV) $(SPARK) data dbt_project/target dbt_project/logs
