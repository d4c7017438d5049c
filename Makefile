# Everything that a developer or CI does; `make help` lists it. Nothing but python3 (3.11 or newer), git and make is needed.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# A worker more than cores, as whole runs also wait; not too many, as each has a Prefect
# server of its own (10 s of CPU, 300 MB). A file stays in one worker: some share an `adw serve`.
PYTEST := pytest -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 8 --dist loadfile --no-loadscope-reorder
RATIOS := pytest -q -m alone tests/e2e/test_bench.py
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY)  ## make .venv with the locked dependencies and adw itself

.uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "adw needs Python 3.11 or newer, and found none: install it" >&2; exit 2; }
	@$(PYTHON) -m venv .uv || { rm -rf .uv; echo "Python cannot make a venv: on Debian, apt install python3-venv" >&2; exit 2; }
	@.uv/bin/pip install --quiet --disable-pip-version-check uv

$(READY): requirements.lock pyproject.toml | $(if $(filter .uv/bin/uv,$(UV)),.uv/bin/uv)
	@test -n "$(PYTHON)" || { echo "adw needs Python 3.11 or newer, and found none: install it" >&2; exit 2; }
	@test -x $(BIN)/python || $(UV) venv --quiet --python "$(PYTHON)" $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# The real CLI that some tests drive, in a folder of the tests' own: one binary, without an account or a key.
CLAUDE := @anthropic-ai/claude-code-linux-$(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x64)
.clis/node_modules/$(CLAUDE)/claude:
	@npm install --silent --no-audit --no-fund --no-save --prefix .clis $(CLAUDE)@2.1.331

.PHONY: clis
clis: .clis/node_modules/$(CLAUDE)/claude  ## install the agent CLI that tests drive (needs npm, 400 MB)

.PHONY: demo
demo: setup  ## set up, and deliver five issues of a small project with a scripted agent
	@$(BIN)/adw demo

.PHONY: test
test: setup  ## set up, and run the tests
	@$(BIN)/python -m $(PYTEST)

.PHONY: stories
stories: setup  ## a thousand random runs of many issues, killed and pushed into
	@ADW_STORIES=1000 $(BIN)/python -m pytest -q --timeout 0 tests/flows/test_many.py

.PHONY: replay
replay: setup  ## deliver the real changes of the replay data sets with 1, 2, 4 and 8 agents
	@ADW_THOROUGH=1 ADW_REPLAY_AGENTS=1,2,4,8 $(BIN)/python -m pytest -q --timeout 0 --durations=0 tests/e2e/test_replay.py

.PHONY: thorough
thorough: setup clis  ## run all tests, also those that CI leaves out for its time
	@ADW_THOROUGH=1 $(BIN)/python -m $(PYTEST) --durations=10

.PHONY: check
check: setup  ## all that CI checks: format, lint, types, layers, tests
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary adw flows tasks deployments benchmarks docs/own-flow
	@$(BIN)/lint-imports --no-logo >.import-linter.log || { cat .import-linter.log; exit 1; }
	@ADW_ALONE=1 $(BIN)/python -m $(RATIOS)
	@$(BIN)/python -m $(PYTEST) --durations=10

.PHONY: coverage
coverage: setup  ## run the tests, and tell the lines that none of them reaches (takes half as long again)
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m $(PYTEST)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

.PHONY: format
format: setup  ## format the code and mend what can be mended
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: lock
lock: | $(if $(filter .uv/bin/uv,$(UV)),.uv/bin/uv)  ## resolve the dependencies anew
	@$(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev --extra s3 pyproject.toml --upgrade -o requirements.lock

.PHONY: picture
picture: setup  ## record the demo's terminal into docs/demo.svg, and draw its run
	@dir=$$(mktemp -d) && $(BIN)/adw demo "$$dir/adw-demo" --svg docs/demo.svg \
		&& $(BIN)/adw status --repo "$$dir/adw-demo/shelf" --gantt docs/gantt.svg --resources docs/resources.svg && rm -rf "$$dir"

.PHONY: screenshots
screenshots: setup  ## write pictures of the Prefect UI into docs/ui (needs Debian's chromium)
	@mkdir -p docs/ui && ADW_PICTURES=docs/ui CI=true $(BIN)/python -m pytest -q tests/e2e/test_ui.py

.PHONY: ratios
ratios: setup  ## deliver one workflow of the benchmarks, and fail if a ratio moved by more than half (half a minute, nothing beside it)
	@ADW_ALONE=1 $(BIN)/python -m $(RATIOS)

.PHONY: benchmarks-doc
benchmarks-doc: setup  ## make docs/benchmarks.md and its pictures from results: RESULTS="one.jsonl features.jsonl …"
	@$(BIN)/python -m benchmarks.document $(or $(RESULTS),bench.jsonl)

.PHONY: bench-small
bench-small: setup  ## measure adw's overheads, and what a cluster of one, two and three workers gives
	@status=0; for part in small cluster; do $(BIN)/python -m benchmarks.$$part || status=1; done; exit $$status

.PHONY: bench-agents
bench-agents: setup clis  ## measure what adw costs around a real agent CLI, against a model on loopback
	@$(BIN)/python -m benchmarks.agents

.PHONY: bench-gateway
bench-gateway: setup  ## measure what the gateway costs: the first byte of an answer, and many streams at once
	@$(BIN)/python -m benchmarks.gateway

.PHONY: bench-many
bench-many: setup  ## compare many issues at once with the analysis' own classes, and see how a run grows with its issues
	@status=0; for part in many growth; do $(BIN)/python -m benchmarks.$$part || status=1; done; exit $$status

.PHONY: bench-skills
bench-skills: setup  ## measure what running skills at once, and knowing their results, gives
	@$(BIN)/python -m benchmarks.skills

.PHONY: bench-memory
bench-memory: setup clis  ## measure how fast memories are recalled, how often the right one is found, and what cache and memory save
	@status=0; for part in memory ablation; do $(BIN)/python -m benchmarks.$$part || status=1; done; exit $$status

.PHONY: bench-tracker
bench-tracker: setup  ## measure what a tracker that is dead, slow or failing costs a run
	@$(BIN)/python -m benchmarks.tracker

.PHONY: clean
clean:  ## remove what setup made
	rm -rf $(VENV) .uv .clis .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
