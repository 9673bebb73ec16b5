# What one does with Trueup; `make help` lists it. CI calls the same targets.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help up down logs test lint fmt bench sbom audit
WORKERS ?= 2

# One environment for running and for testing: what runs is then exactly what was tested, and there is one thing to make.
READY := .venv/installed
$(READY): requirements-dev.lock pyproject.toml deploy/venv.sh
	@deploy/venv.sh

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(READY) ## set up and start everything on this machine; prints addresses and the token; again: does no harm
	@.venv/bin/python -m deploy.up start

down: ## stop what `make up` started, and nothing else; the data stay in .trueup
	@if [ -e $(READY) ]; then .venv/bin/python -m deploy.up down; else echo "nothing was ever started here"; fi

logs: $(READY) ## follow the logs of everything that runs
	@.venv/bin/python -m deploy.up logs

# Tests that stand alone run side by side, one by one; of those that start whole houses or kill servers, file by file: the tests of
# a file may share a house.
test: $(READY) ## run all tests; brings its own PostgreSQL and RabbitMQ
	@mkdir -p .trueup; status=0; \
	.venv/bin/python -m pytest -n $(WORKERS) --dist worksteal -m "not flow and not chaos" | tee .trueup/tests-1.log || status=$$?; \
	.venv/bin/python -m pytest -n $(WORKERS) --dist loadfile -m "flow or chaos" | tee .trueup/tests-2.log || status=$$?; \
	tail -qn1 .trueup/tests-1.log .trueup/tests-2.log; exit $$status

lint: $(READY) ## check style, types and who imports whom
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports

fmt: $(READY) ## put the code into shape
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

bench: $(READY) ## measure and print the figures that performance is judged by
	@.venv/bin/python -m tests.bench

sbom: $(READY) ## write down what the image is made of: dist/sbom.json, in CycloneDX
	@mkdir -p dist
	@.venv/bin/python -W ignore -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml \
	  --output-reproducible --of JSON -o dist/sbom.json && echo dist/sbom.json

audit: $(READY) ## look up known advisories of the locked packages; says so where they cannot be reached
	@.venv/bin/python -m deploy.audit requirements-dev.lock
