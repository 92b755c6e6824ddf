# Two commands do everything: `make run` and `make test`. The rest is for those who work on the program.
# What is installed goes into .venv; the stamps tell make when pyproject.toml has changed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test check lint types contract format proto docs golden deep slow e2e interop interop-build interop-lock interop-clients bench clean

run: $(VENV)/.run  ## serve on 4317 and 4318 with no configuration, and show each finished tree
	$(BIN)/opencode-trace-receiver run

test: $(VENV)/.dev  ## the tests
	$(BIN)/pytest

$(VENV)/.run: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

check: lint types contract  ## everything CI holds besides the tests

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy

contract: $(VENV)/.dev  ## imports run one way
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

proto: $(VENV)/.dev  ## compile what receiver/ ships compiled
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=. --pyi_out=. proto/receiver/codec/wire.proto
	$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=. --pyi_out=. proto/receiver/admin/admin.proto

docs: $(VENV)/.dev  ## rewrite what is generated of the documentation
	$(BIN)/python -m receiver.config.reference docs/configuration.md docs/configuration.schema.json

golden: $(VENV)/.dev  ## rewrite the expected trees; review the difference
	$(BIN)/python -m tests.golden.rewrite

deep: $(VENV)/.dev  ## the laws over many more generated sessions (minutes)
	HYPOTHESIS_PROFILE=deep $(BIN)/pytest tests/test_laws.py

slow: $(VENV)/.dev  ## the tests that take minutes (kill -9 at random points, ten rounds)
	$(BIN)/pytest -m slow

e2e: $(VENV)/.dev  ## the real OpenCode agent against `run` (needs node, npm, git; installs the agent from npm)
	$(BIN)/pytest tests/e2e -m e2e

interop-clients: $(VENV)/.dev  ## OpenTelemetry's exporters for JavaScript against `run` (needs node, npm; installs them from npm)
	$(BIN)/pytest tests/interop_clients -m interop -s

interop-build: $(VENV)/.dev  ## the backends, from the Go module proxy and PyPI (half an hour, once; INTEROP_JOBS=1 for little memory)
	$(BIN)/python -m tests.interop.build

interop-lock: $(VENV)/.dev  ## write the Collector's go.mod and go.sum again, after a change of its builder.yaml
	$(BIN)/python -m tests.interop.build --lock

interop: interop-build  ## the real Collector, Jaeger, Tempo, Phoenix and Prometheus, and a table of what held
	$(BIN)/pytest tests/interop -m interop

bench: $(VENV)/.dev  ## records a second, CPU a record; memory
	PYTHONPATH=. $(BIN)/python benchmarks/bench_pipeline.py
	PYTHONPATH=. $(BIN)/python benchmarks/memory.py
	PYTHONPATH=. $(BIN)/python benchmarks/bench_doors.py

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
