# make demo   set up, and run the main job in the sandbox
# make test   set up, and run the tests
# make check  set up, and run the linters and the type checker
#
# make test-all       the tests on every Python that is found, 3.10 to 3.14
# make test-3.12      the tests on one of them
# make test-lowest    the tests on the oldest of them, with the lowest versions
#                     that pyproject.toml allows
# make release-check  whether this can be released: versions, two builds, the wheel
#
# make mutants        whether the tests notice small faults: SAMPLE=300 of them,
#                     picked by SEED=1; takes half an hour, and is not in CI
#
# make completions  write completions/ anew, with the click that is installed
# make session      run the demo, put what it prints into README.md, and draw
#                   the picture of a terminal there
# make lock         write requirements.lock, build.lock and constraints.txt anew
#
# PYTHON=python3.12 takes another Python; ARGS='-k man' goes to pytest, which
# runs two tests at a time.
# Everything is installed into .venv (.venv-3.12, .venv-lowest); after the first
# time no network is needed.

PYTHON ?= python3
BIN := .venv/bin
# Those that start; the name alone may be a stub of a version manager.
PYTHONS = $(shell for version in 3.10 3.11 3.12 3.13 3.14; do \
	python$$version -c "" 2>/dev/null && echo $$version; done; true)
OLDEST = $(firstword $(PYTHONS))
PYTEST = -m pytest --numprocesses 2 --dist loadgroup $(ARGS)
PIP = -m pip --quiet --disable-pip-version-check
# Makes an environment. Debian and Ubuntu have venv in a package of its own.
VENV = venv() { "$$1" -c 'import ensurepip' 2>/dev/null || { \
	echo "$$1 cannot make a virtual environment: on Debian and Ubuntu, install python3-venv" >&2; \
	exit 1; }; "$$1" -m venv "$$2"; }; venv

.PHONY: demo test test-all test-lowest mutants check format completions session lock \
	release-check release-build release-try clean

demo: .venv/installed
	$(BIN)/sendinvoice-sandbox demo

test: .venv/installed
	$(BIN)/python $(PYTEST)

test-all:
	@test -n "$(PYTHONS)" || { echo "no python3.10 to python3.14 on PATH"; exit 1; }
	@echo "Found: Python $(PYTHONS)"
	@$(MAKE) --no-print-directory $(addprefix test-,$(PYTHONS))

test-3.%: .venv-3.%/installed
	@.venv-3.$*/bin/python --version
	.venv-3.$*/bin/python $(PYTEST)

test-lowest: .venv-lowest/installed
	@.venv-lowest/bin/python --version
	.venv-lowest/bin/python $(PYTEST)

mutants: .venv-mutants/installed
	.venv-mutants/bin/python -m tests.mutants $(or $(SAMPLE),300) $(or $(SEED),1)

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@if command -v zizmor >/dev/null; then zizmor --offline --quiet --pedantic .github; \
	else echo "zizmor is not installed: the workflows are not linted"; fi
	@if command -v actionlint >/dev/null; then actionlint; fi

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

completions: .venv/installed
	$(BIN)/python completions/generate.py

session: .venv/installed
	$(BIN)/python -m tests.docs.session

.venv/installed: pyproject.toml
	@$(VENV) $(PYTHON) .venv
	$(BIN)/python $(PIP) install --editable '.[dev]'
	touch $@

.venv-3.%/installed: pyproject.toml
	@$(VENV) python3.$* .venv-3.$*
	.venv-3.$*/bin/python $(PIP) install --editable '.[dev]'
	touch $@

.venv-mutants/installed: pyproject.toml
	@$(VENV) $(PYTHON) .venv-mutants
	.venv-mutants/bin/python $(PIP) install --editable '.[dev]' 'mutmut>=3.8'
	touch $@

.venv-lowest/installed: pyproject.toml .venv/installed
	@test -n "$(OLDEST)" || { echo "no python3.10 to python3.14 on PATH"; exit 1; }
	@$(VENV) python$(OLDEST) .venv-lowest
	$(BIN)/python -m tests.packaging.lowest $(OLDEST) > .venv-lowest/constraints
	.venv-lowest/bin/python $(PIP) install --constraint .venv-lowest/constraints --editable '.[dev]'
	touch $@

# Needs uv, and the network. The files hold for every Python.
COMPILE = uv pip compile --quiet --universal --python-version 3.10 --no-header
lock:
	{ echo "# What the command runs with, by hash. To install just these:"; \
	  echo "#     python -m pip install --require-hashes -r requirements.lock"; \
	  echo "#     python -m pip install --no-deps sendinvoice"; \
	  echo "# Made by make lock; constraints.txt is for developing."; \
	  $(COMPILE) --generate-hashes pyproject.toml; } > requirements.lock
	{ echo "# The versions that the tests were last run with. To develop with just these:"; \
	  echo "#     python -m pip install -c constraints.txt -e '.[dev]'"; \
	  echo "# Made by make lock; requirements.lock is for installing."; \
	  $(COMPILE) --extra dev --no-annotate pyproject.toml; } > constraints.txt
	{ echo "# What builds a release, by hash. Made by make lock."; \
	  echo 'hatchling>=1.27' | $(COMPILE) --generate-hashes -; } > build.lock

# TAG=v1.2.3 checks that this is the release of that tag. The shell reads TAG from
# its environment, since a tag may hold anything.
release-check: release-build release-try

release-build: .venv-build/installed
	PYTHONPATH=src .venv-build/bin/python tests/packaging/release.py build $${TAG:+--tag "$$TAG"}

release-try:
	PYTHONPATH=src $(PYTHON) tests/packaging/release.py try

.venv-build/installed: build.lock
	@$(VENV) $(PYTHON) .venv-build
	.venv-build/bin/python $(PIP) install --require-hashes --only-binary :all: --requirement build.lock
	touch $@

clean:
	rm -rf .venv .venv-3.* .venv-lowest .venv-build .venv-mutants build dist mutants
