# Each target works from a bare clone: it makes .venv itself, with uv when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
# the versions that the package is for: the python3.X of each on the path, or that pyenv has
VERSIONS ?= 3.11 3.12 3.13
TESTS ?= tests

.PHONY: demo test test-slow test-long test-all lint bench compare docs format clean

demo: $(VENV)/.installed
	$(BIN)/titin demo --force

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadscope

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadscope --slow -m slow

test-all: $(VERSIONS:%=test-%)

# many more trials of what chance decides: hours
test-long: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadscope --long -m long

# each in an environment of its own, .venv-3.12 for example, made as .venv is
test-%:
	@python=$$(command -v python$* || ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$*.*/bin/python 2>/dev/null | tail -n 1); \
	test -n "$$python" || { echo "there is no Python $*: install it, or name others by VERSIONS="; exit 1; }; \
	$(MAKE) --no-print-directory VENV=.venv-$* PYTHON="$$python" .venv-$*/.dev
	.venv-$*/bin/python -m pytest -n auto --dist loadscope $(TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

# the documentation site, its notebooks run on the demo: docs/_build/html/index.html
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/build.py

# titin beside its peers, on the demo or on SOURCE=ATLAS.h5ad: docs/comparison.md
compare: $(VENV)/.dev .venv-peers/.installed
	$(BIN)/python benchmarks/compare.py --peer-python .venv-peers/bin/python --write docs/comparison.md \
	  $(if $(SOURCE),--source $(SOURCE))

clean:
	rm -rf $(VENV) $(VERSIONS:%=.venv-%) demo docs/_build

$(VENV)/.created:
ifdef UV
	$(UV) venv --quiet --seed --python "$$(command -v $(PYTHON))" $(VENV)
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
endif
	@touch $@

ifdef UV
INSTALL := $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install --quiet
endif

$(VENV)/.installed: $(VENV)/.created pyproject.toml hatch_build.py web/package-lock.json $(wildcard web/src/*)
	$(INSTALL) -e '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(INSTALL) -e '.[all]' --group dev
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(INSTALL) -e '.[all]' --group docs
	@touch $@

# annbatch is for 3.12 and later; tiledbsoma does not take what anndata 0.13 calls layers
.venv-peers/.installed:
	@python=$$(command -v python3.12 || ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.12.*/bin/python 2>/dev/null | tail -n 1); \
	test -n "$$python" || { echo "the peers are installed for Python 3.12: install it"; exit 1; }; \
	"$$python" -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet 'anndata<0.13' 'annbatch[zarrs]' cellstream scanpy scDataset tiledbsoma-ml
	@touch $@
