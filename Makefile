# For those who like make; everything here is start.py underneath. Targets and their help stand in one line.

PYTHON ?= python3
VENV := .venv/bin/python

.PHONY: help setup check test format bench

help:  ## show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10

setup:  ## prepare .venv
	$(PYTHON) start.py setup

check:  ## format, lint, types and tests: what CI runs
	$(PYTHON) start.py test

test:  ## the tests alone; make test T="tests/test_text.py -x" for some
	$(PYTHON) start.py test $(or $(T),tests)

format:  ## put the code into its form
	$(PYTHON) start.py test --version
	$(VENV) -m ruff check --fix .
	$(VENV) -m ruff format .

bench:  ## measure accuracy and speed: make bench FOLDER=recordings
	$(PYTHON) start.py test --version
	$(VENV) -m bench.accuracy $(FOLDER)
	$(VENV) -m bench.stations
