# Each target does all the set-up that it needs; `make demo` and `make test` work on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench setup lock format clean

demo: setup
	$(BIN)/varka demo

test: setup
	$(BIN)/coverage run -m pytest tests
	$(BIN)/coverage report --skip-covered --sort=cover | tail -n 40

# What a developer runs before a commit: under a minute, nothing that needs namespaces.
check: setup
	$(BIN)/ruff format --check src tests samples bench
	$(BIN)/ruff check src tests samples bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/unit tests/golden

bench: setup
	$(BIN)/python -m bench

# Bytecode is written here, if it may be: the processes of a mesh see these files read-only and could not keep theirs.
setup: $(VENV)/.installed
	@sh scripts/system-packages.sh
	@$(BIN)/python -m compileall -qq src || true
	@$(BIN)/varka image fetch --if-possible prometheus

$(VENV)/.installed: requirements.lock pyproject.toml
	sh scripts/install.sh $(PYTHON) $(VENV)
	@touch $@

# Versions and hashes of everything that is installed, for all platforms that the packages support.
lock: setup
	$(BIN)/pip-compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-annotate --no-header --output-file requirements.lock pyproject.toml

format: setup
	$(BIN)/ruff format src tests samples bench
	$(BIN)/ruff check --fix src tests samples bench

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .coverage .hypothesis
