# make demo   set up, and run the main job in the sandbox
# make test   set up, and run the tests
# make check  set up, and run the linters and the type checker
#
# make completions  write completions/ anew, with the click that is installed
# make session      run the demo, and put what it prints into README.md
#
# PYTHON=python3.12 takes another Python; ARGS='-k man' goes to pytest, which
# runs two tests at a time.
# Everything is installed into .venv; after the first time no network is needed.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check format completions session clean

demo: .venv/installed
	$(BIN)/sendinvoice-sandbox demo

test: .venv/installed
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup $(ARGS)

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

completions: .venv/installed
	$(BIN)/python completions/generate.py

session: .venv/installed
	$(BIN)/python -m tests.docs.session

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist
