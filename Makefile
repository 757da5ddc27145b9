# Each target works from a bare clone: it makes .venv itself, with uv when it is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

.PHONY: demo test lint bench format clean

demo: $(VENV)/.installed
	$(BIN)/titin demo --force

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto

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
	rm -rf $(VENV) demo

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
