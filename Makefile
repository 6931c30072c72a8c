# The whole set-up is these targets: they need Python 3.11 or 3.12, git, make and a C++ compiler, nothing else.
UV     := $(shell command -v uv 2>/dev/null)
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
CXX_OK := $(shell command -v c++ || command -v g++ || command -v clang++)
SKIP   := $(if $(CXX_OK),,kenlm)
JOBS   ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test bounds lint bench docs clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(READY)  ## set up and run recipes/quickstart.yaml on the documentation of installed packages
	$(BIN)/curate run quickstart

test: $(READY)  ## set up and run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --max-worker-restart 0

bounds: $(READY)  ## the tests of the kernels once more, with every index looked at
	NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --max-worker-restart 0 tests/kernels

lint: $(READY)  ## ruff, the type checker, and generated pages that are out of date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

bench: $(READY)  ## time the whole way from .jsonl.zst to annotated Parquet
	$(BIN)/python -m benchmarks.end_to_end

docs: $(READY)  ## write the generated pages: docs/operators.md, docs/cli.md
	$(BIN)/python docs/generate.py

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@test -n "$(UV)$(PYTHON)" || { echo 'curate needs Python 3.11 or 3.12 (or uv)'; exit 1; }
	@test -z "$(SKIP)" || echo 'no C++ compiler: KenLM is left out; everything that does not need it works'
ifdef UV
	$(UV) venv -q --allow-existing --python '>=3.11,<3.13' $(VENV)
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV)
endif
	@$(if $(PYTHON),$(PYTHON),$(BIN)/python) tools/requirements.py $(SKIP) > $(VENV)/requirements.txt
ifdef UV
	VIRTUAL_ENV=$(VENV) $(UV) pip install -q --compile-bytecode -c constraints.txt -r $(VENV)/requirements.txt
	VIRTUAL_ENV=$(VENV) $(UV) pip install -q --no-deps -e .
else
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then pip="$(BIN)/python -m pip"; else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	set -ex; $$pip install -q -c constraints.txt -r $(VENV)/requirements.txt; $$pip install -q --no-deps -e .
endif
	@touch $@
