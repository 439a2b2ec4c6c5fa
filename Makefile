# The two commands to begin with: `make demo` and `make test`. Each makes the environment that it needs.

# The first of these names that is Python 3.11 or newer; give another with `make PYTHON=/path/to/python ...`.
PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done),python3)

# Which torch, and from where: make test PIP_EXTRA="--index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
PIP_EXTRA ?=

CORE := .venv-core
FULL := .venv
PIP := -m pip --disable-pip-version-check install
SOURCES := src tests benchmarks tools
INSTALLED_FROM := pyproject.toml constraints.txt

# One thread for numerics: results do not depend on the machine's cores, and small matrices are not slowed by waiting.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint types contracts tests format bench audit clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(CORE)/.installed ## recognise eight clips of real people, or your own recording: make demo CLIP=my.wav
	@$(CORE)/bin/serotone $(if $(CLIP),predict "$(CLIP)",demo)

test: lint types contracts tests ## everything below, in an environment with everything installed

lint: $(FULL)/.installed ## ruff: lint and format
	$(FULL)/bin/ruff check $(SOURCES)
	$(FULL)/bin/ruff format --check $(SOURCES)

types: $(FULL)/.installed ## mypy, strict, over src
	$(FULL)/bin/mypy

contracts: $(FULL)/.installed ## import-linter: imports point one way
	$(FULL)/bin/lint-imports --no-logo

tests: $(FULL)/.installed ## pytest, a process a core; real corpora are found in the folder SEROTONE_DATA
	$(FULL)/bin/python -m pytest --numprocesses logical --dist loadfile --no-loadscope-reorder

format: $(FULL)/.installed ## let ruff mend and format the sources
	$(FULL)/bin/ruff format $(SOURCES)
	$(FULL)/bin/ruff check --fix $(SOURCES)

bench: $(CORE)/.installed $(FULL)/.installed ## run the benchmarks, figures to results/benchmarks/
	$(FULL)/bin/python benchmarks/run_all.py

audit: $(FULL)/.installed ## look the locked packages up among known vulnerabilities, by pip-audit; needs the internet
	@$(FULL)/bin/python $(PIP) --quiet pip-audit
	@for lock in requirements/*.txt; do echo "$$lock:" && \
		$(FULL)/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r $$lock || exit 1; done

clean: ## remove the environments, builds and caches; runs/ stays
	rm -rf $(CORE) $(FULL) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(CORE)/.installed: $(INSTALLED_FROM)
	@echo "Making $(CORE): the core, without torch. Once, well under a minute with packages cached."
	$(call make_environment,$(CORE))
	@$(CORE)/bin/python $(PIP) --quiet --constraint constraints.txt --editable .
	@touch $@

# torch comes first and alone, so that any index and version can be asked for; the constraints then leave it be.
$(FULL)/.installed: $(INSTALLED_FROM)
	@echo "Making $(FULL): everything. Once; torch is a large download."
	$(call make_environment,$(FULL))
	$(FULL)/bin/python $(PIP) --no-compile "$(TORCH)" $(PIP_EXTRA)
	@grep -v '^torch==' constraints.txt > $(FULL)/constraints.txt
	$(FULL)/bin/python $(PIP) --no-compile --constraint $(FULL)/constraints.txt --editable '.[test]'
	@$(FULL)/bin/python -m compileall -qq -j 0 $(FULL)/lib || true  # pip would use one core; some packages hold what is no Python
	@touch $@

define make_environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "serotone needs Python 3.11 or newer; '$(PYTHON)' is not. Name another: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; exit 1; }
@$(PYTHON) -m venv $(1)
endef
