# `make run` and `make test` are all that most people need; `make help` lists the rest.
# Everything is installed into .venv. Its stamps tell make when pyproject.toml has changed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
IMAGE ?= opencode-trace-receiver

.PHONY: help run test check lint types contract format hooks proto docs golden deep slow e2e interop-clients \
        interop-build interop-lock interop bench dist wheel-check image clean

run: $(VENV)/.run  ## serve on 4317 and 4318 without configuration, and print each finished trace as a tree
	$(BIN)/opencode-trace-receiver run

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

test: $(VENV)/.dev  ## run the tests on all cores, and fail if they need too much CPU time (CPU_BUDGET, in seconds)
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal --cpu-budget $(or $(CPU_BUDGET),300)

$(VENV)/.run: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

check: lint types contract  ## run all checks other than the tests: lint, types, contract

lint: $(VENV)/.dev  ## check style with ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev  ## check types with mypy
	$(BIN)/mypy

contract: $(VENV)/.dev  ## check which way imports run (.importlinter)
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## format the code, and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

hooks: $(VENV)/.dev  ## install the git hooks of .pre-commit-config.yaml
	$(BIN)/pre-commit install

proto: $(VENV)/.dev  ## compile the protobuf files that receiver/ ships compiled
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=. --pyi_out=. proto/receiver/codec/wire.proto
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=. --pyi_out=. proto/receiver/admin/admin.proto

docs: $(VENV)/.dev  ## write the generated documentation again
	$(BIN)/python -m receiver.config.schema.reference docs/configuration.md docs/configuration.schema.json

golden: $(VENV)/.dev  ## write the expected trees again; review the difference
	$(BIN)/python -m tests.golden.rewrite

deep: $(VENV)/.dev  ## test the laws over many more generated sessions (minutes)
	HYPOTHESIS_PROFILE=deep $(BIN)/pytest tests/test_laws.py

slow: $(VENV)/.dev  ## run the tests that take minutes (kill -9 at random points, the wheel, ...)
	$(BIN)/pytest -m slow

e2e: $(VENV)/.dev  ## run the real OpenCode agent against `run` (needs node, npm, git; installs the agent from npm)
	$(BIN)/pytest tests/e2e -m e2e

interop-clients: $(VENV)/.dev  ## run OpenTelemetry's JavaScript exporters against `run` (needs node, npm)
	$(BIN)/pytest tests/interop_clients -m interop -s

interop-build: $(VENV)/.dev  ## build the backends of the interop tests (needs Go; half an hour, once; INTEROP_JOBS=1 for little memory)
	$(BIN)/python -m tests.interop.build

interop-lock: $(VENV)/.dev  ## write the interop Collector's go.mod and go.sum again, after a change of its builder.yaml
	$(BIN)/python -m tests.interop.build --lock

interop: interop-build  ## test with the real Collector, Jaeger, Tempo, Phoenix and Prometheus; ends with a table
	$(BIN)/pytest tests/interop -m interop

bench: $(VENV)/.dev  ## measure records a second, CPU a record, and memory
	PYTHONPATH=. $(BIN)/python benchmarks/bench_pipeline.py
	PYTHONPATH=. $(BIN)/python benchmarks/memory.py
	PYTHONPATH=. $(BIN)/python benchmarks/bench_shared_port.py

dist: $(VENV)/.dev  ## build the sdist and the wheel into dist/, and check their metadata
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

wheel-check: dist  ## install the wheel of dist/ into a new environment, away from the checkout, and use it
	WHEEL="$$(echo dist/*.whl)" $(BIN)/pytest tests/test_wheel.py -m slow

image: $(VENV)/.run  ## build the container image (needs docker; IMAGE=name for another name)
	docker build -f deploy/Dockerfile -t "$(IMAGE):$$($(BIN)/python -m receiver --version | awk '{ print $$NF }')" .

clean:  ## remove the environment, what was built, and caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
