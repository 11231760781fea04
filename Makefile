# The two commands of a new user: `make demo` and `make test`. The environment is .venv, made here.
PYTHON ?= python3
SERVE  ?= 1
PORT   ?= 8000
BIN    := .venv/bin
CARD   := $(shell nvidia-smi -L 2>/dev/null | head -n 1)
EXTRA  := $(if $(CARD),gpu,cpu)
MORE   ?=

.PHONY: setup demo test check bench golden wheel all clean

setup: .venv/.installed

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}; set PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[$(EXTRA),demo,dev$(MORE:%=,%)]'
	@test ! -d .git || $(BIN)/pre-commit install >/dev/null || echo "no pre-commit hooks: see above"
	@touch $@

demo: setup
	$(BIN)/vetrina demo --folder artifacts/demo --port $(PORT) $(if $(filter 0,$(SERVE)),--no-serve)

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry index retrieval ranking pipelines

wheel: setup
	rm -rf dist
	$(BIN)/python -m build --quiet --wheel --installer uv
	$(BIN)/check-wheel-contents dist/*.whl

golden: setup
	VETRINA_GOLDEN=rewrite $(BIN)/python -m pytest -q tests/golden

bench: setup
	@test -n "$(DATA)" || { echo "say where the data sets are: make bench DATA=FOLDER"; exit 1; }
	$(BIN)/python benchmarks/supermarket.py
	$(BIN)/python benchmarks/esci.py --data $(DATA)
	$(BIN)/python benchmarks/fashion_clip.py --data $(DATA)
	$(BIN)/python benchmarks/behaviour.py --data $(DATA)
	$(BIN)/python benchmarks/supermarket_recall.py
	$(BIN)/python benchmarks/text_relevance.py --data $(DATA)
	$(BIN)/python -m benchmarks.text_ranking --data $(DATA)
	$(BIN)/python -m benchmarks.supermarket_ranking
	$(BIN)/python -m benchmarks.impressions --data $(DATA)
	$(BIN)/python -m benchmarks.rank_latency

all: check test wheel

clean:
	rm -rf .venv artifacts dist
