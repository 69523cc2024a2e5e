# `make repro` and `make test` set up all they need on a machine with Python 3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin
# All packages with their hashes, written by `make lock`. Where they do not fit, as for another build of PyTorch:
# make setup PACKAGES=requirements.txt
PACKAGES ?= requirements.lock
HASHES = $(if $(filter %.lock,$(PACKAGES)),--require-hashes)
TOOLS := .venv/tools
DASK := .venv/dask

.PHONY: help setup repro verify compare plots demo test cluster faults slow times bench lock audit

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.compiled  ## create .venv with all packages, and compile the kernels

# All that can be missing is checked first, because the packages take gigabytes.
.venv/.installed: $(PACKAGES)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@command -v git >/dev/null || { echo "The command git is missing, and DVC needs it: apt-get install git"; exit 1; }
	@[ -e .git ] || { echo "DVC needs a git repository, and this folder is none: clone the project, or run git init && git add -A && git commit -m start"; exit 1; }
	@git rev-parse --quiet --verify HEAD >/dev/null || { echo "DVC needs a commit that git can read here: run git add -A && git commit -m start"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(HASHES) -r $(PACKAGES)
	@touch $@

# A search in each mode and a fit compile each kernel; Numba keeps them in __pycache__ (src/selective_search/compiled.py).
.venv/.compiled: .venv/.installed $(wildcard src/selective_search/*.py) src/rcnn/coordinate_descent.py
	@echo "Compiling selective search and the SVMs (half a minute, once)"
	@$(BIN)/python -c 'import numpy; from src.selective_search.strategies import MODES, search; [search(numpy.zeros((32, 32, 3), numpy.uint8), mode) for mode in MODES]'
	@$(BIN)/python -c 'import numpy as np; from src.rcnn.coordinate_descent import fit; fit(np.eye(2, dtype=np.float32), np.float32([1, -1]), np.zeros(2), c=1.0, weight=1.0, bias_multiplier=1.0, seed=0)'
	@touch $@

repro: setup  ## run the pipeline, then compare the headline metrics with the committed ones
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m commands.timed_repro --no-page
	@$(BIN)/python -m commands.compare

verify: setup  ## compare the outputs and DVC's cache with dvc.lock, by content
	@$(BIN)/python -m commands.verify

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

cluster: $(DASK)/.installed  ## tests of a Dask cluster on this machine
	$(DASK)/bin/python -m pytest tests/stages/test_cluster.py

faults: setup  ## kill runs, fill disks, damage and break files, and print what was tried and lost
	@$(BIN)/python -m tests.faults

slow: setup  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

times: setup  ## as repro, with the seconds of each stage in report/with_times.html
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m commands.timed_repro

# The machine's full speed on both sides of each pair, not the pinned arithmetic.
bench: setup  ## all pairs of ours and a peer, into docs/bench.json and docs/performance.md (15 minutes)
	ARITHMETIC=native $(BIN)/python -m benchmarks.all

# Dask alone, in an environment that also finds the locked packages, so that .venv stays as the lock file has it.
SITE = -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
$(DASK)/.installed: setup requirements-cluster.txt
	@[ $@ -nt requirements-cluster.txt ] || { $(BIN)/python -m venv $(DASK) && $(BIN)/python $(SITE) > $$($(DASK)/bin/python $(SITE))/locked.pth && $(DASK)/bin/python -m pip install --quiet --disable-pip-version-check $$(grep -o '^distributed==[^ ]*' requirements-cluster.txt) && touch $@; }

$(TOOLS)/.installed: setup
	@[ -e $@ ] || { $(PYTHON) -m venv $(TOOLS) && $(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9 pip-audit==2.10.1 && touch $@; }

lock: $(TOOLS)/.installed  ## write requirements.lock anew from requirements.txt, with the hashes of all packages
	@$(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" --output-file requirements.lock requirements.txt

audit: $(TOOLS)/.installed  ## ask the package index for known faults of the locked packages
	@$(TOOLS)/bin/pip-audit --disable-pip --require-hashes --requirement requirements.lock
