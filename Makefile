# The two commands of a new user: `make demo` and `make test`. The environment is .venv, made here.
PYTHON ?= python3
SERVE  ?= 1
PORT   ?= 8000
BIN    := .venv/bin
CARD   := $(shell nvidia-smi -L 2>/dev/null | head -n 1)
EXTRA  := $(if $(CARD),gpu,cpu)
MORE   ?=

# .venv holds the versions of uv.lock, .venv-newest the newest that pyproject.toml allows.
comma     := ,
space     := $() $()
EXTRAS    := $(EXTRA) demo dev $(subst $(comma), ,$(MORE))
INSTALLED := .venv/.installed-$(subst $(space),-,$(strip $(EXTRAS)))
NEWEST    := .venv-newest

# Tests run in one process a core, each with one thread: more threads than cores wait for each other.
# Each holds torch and models, so there are at most eight. A worker that is done takes tests of
# another file, because the slowest files would else decide; what they share is built once a run.
WORKERS ?= auto
PYTEST   = OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(1)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal

# Lets Python write compiled modules, which spare each later process seconds of compiling torch anew.
unexport PYTHONDONTWRITEBYTECODE
unexport UV_PROJECT_ENVIRONMENT

.PHONY: setup lock demo test test-all newest check bench golden wheel all clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, this is {v[0]}.{v[1]}; set PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@rm -f .venv/.installed*
	$(BIN)/uv sync --quiet --frozen --python $(BIN)/python $(EXTRAS:%=--extra %)
	@test ! -d .git || $(BIN)/pre-commit install >/dev/null || echo "no pre-commit hooks: see above"
	@touch $@

lock: setup
	$(BIN)/uv lock --upgrade

demo: setup
	$(BIN)/vetrina demo --folder artifacts/demo --port $(PORT) $(if $(filter 0,$(SERVE)),--no-serve)

test: setup
	$(call PYTEST,$(BIN)) -m 'not slow'

test-all: setup
	$(call PYTEST,$(BIN))

# Shows what the newest libraries break: imports, a build, an answer, and what we read in their words.
newest: setup
	rm -rf $(NEWEST)
	$(BIN)/uv venv --quiet --python $(BIN)/python $(NEWEST)
	$(BIN)/uv pip install --quiet --python $(NEWEST)/bin/python --editable '.[$(subst $(space),$(comma),$(strip $(EXTRAS)))]'
	@$(BIN)/uv pip freeze --python $(BIN)/python | grep -v ^pip== > $(NEWEST)/locked.txt
	@$(BIN)/uv pip freeze --python $(NEWEST)/bin/python > $(NEWEST)/newest.txt
	@diff $(NEWEST)/locked.txt $(NEWEST)/newest.txt && echo "the newest is what uv.lock says" || true
	$(call PYTEST,$(NEWEST)/bin) -m foreign

check: setup
	$(BIN)/uv lock --check
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
	$(BIN)/python -m benchmarks suite --data $(DATA)

all: check test-all wheel

clean:
	rm -rf .venv $(NEWEST) artifacts dist
