# make demo   set up, then take synthetic deliveries to a released research dataset
# make test   set up, then run the tests
# make ui     the Dagster UI over what the demo made
# make check  formatting, lint, types, generated files, definitions
# make lock   renew requirements.lock from pyproject.toml
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export DAGSTER_DISABLE_TELEMETRY := yes
export DO_NOT_TRACK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: demo test ui check lock setup clean

demo: $(READY)
	$(BIN)/linked-cyp demo

test: $(READY)
	$(BIN)/pytest -n 2 --dist loadscope

ui: $(READY)
	$(BIN)/linked-cyp ui

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m linked_cyp.dbt_sources --check
	$(BIN)/python -m linked_cyp.dictionary --check
	$(BIN)/dagster definitions validate -w workspace.yaml
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/dg check defs

setup: $(READY)

# A plain Debian python3 has venv but not always pip inside it, so pip works from outside.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes --requirement requirements.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps --no-build-isolation --editable .
	touch $(READY)

lock:
	$(PYTHON) -m pip --python $(BIN)/python install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-strip-extras --no-emit-index-url --no-header --no-annotate \
	  --output-file requirements.lock

clean:
	rm -rf $(VENV) data dbt_project/target dbt_project/logs
