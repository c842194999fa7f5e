# `make demo` shows what Textome does, `make test` checks all of it. Both use one virtual environment, .venv.
#   make demo PYTHON=python3.12        another Python (3.11 or later)
#   make test CPU_INDEX=               PyTorch from pip's own index, for instance with CUDA

PYTHON ?= python3
JOBS ?= 2
# On Linux the default index has PyTorch only with several gigabytes of CUDA libraries. Used only where it answers.
CPU_INDEX ?= https://download.pytorch.org/whl/cpu
BIN := .venv/bin
# Tests run on as many processes as JOBS says; with several threads in each, they would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo docs links install test test-slow lint format scores bench constraints clean

help:
	@echo "make demo        annotate examples/abstracts.xml with the bundled model (no PyTorch)"
	@echo "make test        lint, types and all quick tests"
	@echo "make test-slow   the tests that take longer than a few seconds each"
	@echo "make lint        ruff and mypy"
	@echo "make format      put the code in order with ruff"
	@echo "make scores      test F1 of the bundled model on the public corpora"
	@echo "make docs        build the documentation site in build/site"
	@echo "make links       ask every address that the documentation names (needs the network)"
	@echo "make bench       speed of annotation beside the transformers pipeline"
	@echo "make constraints write constraints.txt anew from what .venv holds"
	@echo "make clean       remove .venv, results and caches"

demo: .venv/.base
	@mkdir -p out
	$(BIN)/textome annotate examples/abstracts.xml --show --output out/abstracts.bioc.json --output out/abstracts.html
	@echo "Written: out/abstracts.bioc.json, and out/abstracts.html to open in a browser."

docs: .venv/.full
	$(BIN)/python -m sphinx -q -W --keep-going docs build/site
	@echo "Written: build/site/index.html"

links: .venv/.full
	$(BIN)/python -m sphinx -q -b linkcheck docs build/links

install: .venv/.full

test: lint
	$(PYTEST) -m "not slow"

test-slow: .venv/.full
	$(PYTEST) -m slow

lint: .venv/.full
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.full
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

scores: .venv/.full
	$(BIN)/python benchmarks/model_card.py

bench: .venv/.full
	$(BIN)/python benchmarks/annotate.py

constraints: .venv/.full
	$(BIN)/python -m pip freeze --exclude-editable | sed -E '/^#/d; s/^(torch==[^+]*)\+.*/\1/' > constraints.new
	mv constraints.new constraints.txt

clean:
	rm -rf .venv out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp for each step, so that a second run starts at once.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Textome needs Python 3.11 or later, and this is %s; run make with PYTHON=python3.11" % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.base: .venv/.made pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

# Of the indexes that know the pinned version pip takes the one with the CPU build, since "2.13.0+cpu" counts as newer.
.venv/.full: .venv/.made pyproject.toml constraints.txt packages/relations/pyproject.toml
	@extra=; \
	if [ -n "$(CPU_INDEX)" ] && [ "$$(uname -s)" = Linux ] && ! $(BIN)/python -c "import torch" 2>/dev/null && \
		$(BIN)/python -c "import urllib.request as u; u.urlopen('$(CPU_INDEX)/torch/', timeout=5)" 2>/dev/null; \
	then extra="--extra-index-url $(CPU_INDEX)"; fi; \
	echo $(PIP) $$extra --editable '.[all,dev]' packages/relations; \
	$(PIP) $$extra --editable '.[all,dev]' packages/relations
	@touch .venv/.base $@
