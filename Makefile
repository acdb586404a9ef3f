# Every target sets up .venv by itself. Variables: PROFILE, ONLY (run some notebooks), PARAMS (values for parameters cells),
# JOBS (notebooks side by side, sharing the cores; as many as GPUs, 2 without one), PROCESSES (that train one language model together,
# one for each GPU), FAN_OUT (species or folds: a notebook's species, or species and folds, as runs of their own), PYTHON.
PYTHON ?= python3
PROFILE ?= simulated
ONLY ?=
PARAMS ?=
JOBS ?=
PROCESSES ?=
FAN_OUT ?=
BIN := .venv/bin
# As they were typed, whatever they hold: not expanded by make, not read by a shell.
override PROFILE := $(value PROFILE)
override ONLY := $(value ONLY)
override PARAMS := $(value PARAMS)
export PROFILE ONLY PARAMS JOBS PROCESSES FAN_OUT
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run tour lint test lab bench tables links site verify newer clean

run: .venv/installed
	@$(BIN)/python -m workflow.run_series

tour: .venv/installed
	@PROFILE=simulated ONLY="Start Here" PARAMS= FAN_OUT= $(BIN)/python -m workflow.run_series

lint: .venv/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

test: lint
	@$(BIN)/python -m pytest -n 2 --dist loadfile

lab: .venv/installed
	@$(BIN)/python -m jupyter lab

bench: .venv/installed
	@$(BIN)/python benchmarks/run.py

tables: .venv/installed
	@$(BIN)/python -m workflow.show_tables update

links: .venv/installed
	@$(BIN)/python -m workflow.address update
	@$(BIN)/python -m workflow.ship_models cards

site: .venv/site-installed
	@$(BIN)/python -m workflow.site.build
	@$(BIN)/python -m workflow.site.check

verify: .venv/installed
	@$(BIN)/python -m workflow.manifest verify

newer: .venv/installed
	@$(BIN)/python -m workflow.newer_pins

clean:
	rm -rf artifacts .snakemake

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"Python 3.11 or 3.12 is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/site-installed: .venv/installed workflow/site/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r workflow/site/requirements.txt -c requirements.txt
	@touch $@
