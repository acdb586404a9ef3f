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
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run test lab bench tables verify newer clean

run: .venv/installed
	@snakemake --cores all --rerun-incomplete --nolock $(if $(FAN_OUT),--keep-going) --quiet host progress reason rules --config profile="$(PROFILE)" only="$(ONLY)" $(if $(PARAMS),params="$(PARAMS) ") jobs="$(JOBS)" processes="$(PROCESSES)" fan_out="$(FAN_OUT)"
	@python tables.py show "$(PROFILE)"
	@python manifest.py write "$(PROFILE)"
	@python -c 'import sys; from profiles import profile_paths; print(f"Executed notebooks: {profile_paths(sys.argv[1])[2]}/notebooks/")' "$(PROFILE)"

test: .venv/installed
	@python -m pytest

lab: .venv/installed
	@jupyter lab

bench: .venv/installed
	@python benchmarks/run.py

tables: .venv/installed
	@python tables.py update

verify: .venv/installed
	@python manifest.py verify

newer: .venv/installed
	@python newer.py

clean:
	rm -rf artifacts .snakemake

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"Python 3.11 or 3.12 is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@
