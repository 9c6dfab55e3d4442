# Two commands on a fresh machine: `make demo` and `make test`. Both stand on `make setup`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
TORCH := 2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
STAMP := $(VENV)/.setup-done
OUT ?= demo
# Processes that tests run in; each file's tests stay together.
JOBS ?= 2
AXE := tests/e2e/node_modules/.package-lock.json

.PHONY: setup demo test check format lock clean

setup: $(STAMP)

# torch comes first, as a CPU build: the local version "+cpu" where pip is set up to find it, else from
# PyTorch's own index. It is installed only when this very version is missing.
$(STAMP): requirements.lock pyproject.toml Makefile
	@set -e; start=$$(date +%s); \
	$(PYTHON) -c 'import sys; sys.exit("Wardround needs Python 3.11 or newer; set PYTHON=…" if sys.version_info < (3, 11) else 0)'; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	echo "setup: torch $(TORCH) (CPU build)"; \
	$(BIN)/python -c 'from importlib.metadata import version; import sys; sys.exit(version("torch").split("+")[0] != "$(TORCH)")' 2>/dev/null \
	  || $(PIP) install --no-deps "torch==$(TORCH)+cpu" 2>/dev/null \
	  || $(PIP) install --no-deps --index-url $(TORCH_INDEX) "torch==$(TORCH)"; \
	echo "setup: locked dependencies"; \
	$(PIP) install --no-deps --require-hashes -r requirements.lock; \
	$(PIP) install --no-deps --no-build-isolation -e .; \
	$(BIN)/python -m pip check >/dev/null; \
	$(BIN)/wardround --version; \
	touch $(STAMP); \
	echo "setup took $$(( $$(date +%s) - start )) s"

demo: setup
	@start=$$(date +%s); $(BIN)/wardround demo --out $(OUT) && echo "demo took $$(( $$(date +%s) - start )) s"

# axe-core, which the browser tests ask about accessibility. Without npm or a network those tests are skipped.
$(AXE): tests/e2e/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/e2e --ignore-scripts --silent --no-audit --no-fund \
	  --fetch-retries=1 --fetch-retry-mintimeout=1000 || true; fi

test: setup $(AXE)
	@start=$$(date +%s); $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(PYTEST_ARGS) && echo "tests took $$(( $$(date +%s) - start )) s"

# Everything that must hold before a commit: format, lint, strict types, tests.
check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) test

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --upgrade \
	  --override requirements/overrides.txt --extra tune --extra documents --extra ray --extra images --extra web --extra dev --custom-compile-command "make lock" \
	  pyproject.toml requirements/torch.in -o requirements.lock

clean:
	rm -rf $(VENV) tests/e2e/node_modules build dist *.egg-info src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
