# Each target works from a bare clone: it makes .venv itself, with uv when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
# the versions that the package is for: the python3.X of each on the path, or that pyenv has
VERSIONS ?= 3.11 3.12 3.13
TESTS ?= tests

.PHONY: demo test test-slow test-all lint bench format clean

demo: $(VENV)/.installed
	$(BIN)/titin demo --force

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadscope

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadscope --slow -m slow

test-all: $(VERSIONS:%=test-%)

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

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/build.py

clean:
	rm -rf $(VENV) $(VERSIONS:%=.venv-%) demo

$(VENV)/.created:
ifdef UV
	$(UV) venv --quiet --seed --python "$$(command -v $(PYTHON))" $(VENV)
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
endif
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml
ifdef UV
	$(UV) pip install --quiet --python $(BIN)/python -e .
else
	$(BIN)/python -m pip install --quiet -e .
endif
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
ifdef UV
	$(UV) pip install --quiet --python $(BIN)/python -e . --group dev
else
	$(BIN)/python -m pip install --quiet -e . --group dev
endif
	@touch $@
