# The few commands that a person needs. Nothing has to be installed by hand: each target brings what it uses.
.PHONY: demo test install install-test fix lock sql
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

demo: install          ## watch signed events of old and new panels turn into mails, calls and programs
	$(BIN)/rulewave demo $(ARGS)

test: install-test     ## lint, types, layers, and every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/coverage erase
	$(BIN)/pytest --cov --cov-report=term $(ARGS)

install: .venv/installed

install-test: install tests/node/node_modules/.package-lock.json .venv/debian/usr/sbin/nginx .venv/debian/usr/bin/caddy
	@command -v systemd-analyze >/dev/null && command -v systemd-socket-activate >/dev/null || .ci/packages systemd

fix: install           ## what a machine can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install          ## renew requirements.lock: packages, versions and hashes, no addresses
	$(BIN)/uv pip compile pyproject.toml --extra test --extra notify --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --upgrade --output-file requirements.lock

sql: install           ## write the journal's statements and first schema anew, for both databases
	$(BIN)/python -m engine.journal.compiling

# The lock names everything. Left to resolve extras, older pips prefer a newer release to the locked one.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || .ci/packages python3 python3-venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/debian/usr/%: | .venv/installed
	.ci/unpacked .venv/debian $(notdir $@)

tests/node/node_modules/.package-lock.json: tests/node/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || .ci/packages nodejs npm
	cd tests/node && npm ci --silent --no-audit --no-fund
	@touch $@
