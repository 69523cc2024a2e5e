# `make repro` and `make test` set up all they need on a machine with Python 3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup repro compare plots demo test slow times

setup: .venv/.installed

.venv/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

repro: setup  ## run the pipeline, then compare the headline metrics with the committed ones
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro
	@$(BIN)/python -m commands.compare

compare: setup  ## headline metrics of two revisions: make compare OLD=mine NEW=change
	@$(BIN)/python -m commands.compare $(OLD) $(NEW)

plots: setup  ## DVC's plots on one page that asks the network for nothing
	@$(BIN)/python -m commands.plots

demo: setup  ## a page on this machine on which to try the trained methods on photos
	$(BIN)/python -m commands.demo

# Two processes of one thread each, a test file in one of them, in the order of tests/conftest.py.
test: setup  ## lint, types and tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: setup  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

times: setup  ## as repro, with the seconds of each stage in report/with_times.html
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m commands.timed_repro
