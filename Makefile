# `make demo` and `make test` do all the set-up themselves on a machine that has Python 3.11 or newer.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test lint docs bench weights clean

demo: $(READY)
	$(BIN)/copyfold demo --out demo

test: $(READY)
	$(BIN)/python -m pytest -n 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck .ci/run hpc/*.sh

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: $(READY)
	$(BIN)/python benchmarks/hmm_speed.py

# Trains what src/copyfold/ddg/predictor/weights holds; DATA is the data folder of docs/methods/ddg-model-card.md.
DATA ?= ../shared/data/ddg
# One thread: with more, sums are taken in another order and σ's coefficients differ in their last bits.
weights: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/ddg_weights.py --data $(DATA) --cache build/ddg_encodings

$(READY): pyproject.toml constraints.txt src/copyfold/cnv/counting/_walk.c
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "copyfold needs Python 3.11 or newer; call make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV) || { echo "Python lacks venv: on Debian or Ubuntu, apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]' \
	    || { echo "Installing failed. C code is built here: on Debian or Ubuntu, apt-get install gcc python3-dev zlib1g-dev"; exit 1; }
	touch $@

clean:
	rm -rf $(VENV) demo build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
