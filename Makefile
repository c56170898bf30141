# Every target sets up what it needs; `make run` and `make test` are all a newcomer types. To run takes
# little: requirements.lock. The rest of requirements-extras.lock is for tests, Azure, Spark and MLflow.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
RUNNABLE := $(VENV)/.runnable
READY := $(VENV)/.ready
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python
export UV_COMPILE_BYTECODE = 1

.PHONY: setup run test snapshots coverage check bench contracts docs clean lock wheel smoke image audit lint-workflows

setup: $(READY)

# A stamp is written last, so that a set-up that was broken off is begun again.
$(RUNNABLE): requirements.lock requirements-installer.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, not " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-installer.lock
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(READY): $(RUNNABLE) requirements-extras.lock
	$(INSTALL) --require-hashes -r requirements-extras.lock
	touch $@

run: $(RUNNABLE)
	$(BIN)/liftwright run

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup --max-worker-restart=0 --cov=src --cov-report=term

# Write the wording of screens, messages and reports anew; look at the difference before it is committed.
snapshots: setup
	$(BIN)/python -m pytest --quiet --snapshot-update \
		$$(grep --recursive --files-with-matches --include='test_*.py' SnapshotAssertion tests)

# What the last `make test` ran of each module, line by line, in htmlcov/.
coverage: setup
	$(BIN)/coverage html --quiet

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src tools
	$(BIN)/interrogate --quiet src tools
	$(BIN)/shellcheck infra/*.sh tools/*.sh .ci/run
	$(BIN)/hadolint Dockerfile

# With AGAINST=DIR, a checkout of another version runs in turn with this one.
bench: setup
	$(BIN)/python benchmarks/run_all.py $(if $(AGAINST),--against $(AGAINST))

# On the oldest and the newest supported packages of Azure; `make test` runs the newest.
contracts: setup
	$(BIN)/python tools/contract_matrix.py

docs: setup
	$(BIN)/python notebooks/execute.py

wheel: setup
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation

# The wheel as a user gets it: in an environment of its own, away from the checkout.
smoke: wheel
	rm -rf build/smoke build/campaign
	$(PYTHON) -m venv build/smoke
	$(BIN)/uv pip install --quiet --python build/smoke/bin/python --constraint requirements.lock dist/*.whl
	cd build && smoke/bin/liftwright init campaign && smoke/bin/liftwright run --workspace campaign

image:
	tools/build_image.sh

# These two ask the network: for known faults of the packages in the lock, and for actionlint.
audit: setup
	$(BIN)/uv tool run pip-audit==2.10.1 --require-hashes --disable-pip --requirement requirements-extras.lock

lint-workflows:
	tools/lint_workflows.sh

# For maintainers: the locks, with hashes and without a registry's name. Both agree on versions.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url
LOCK = $(COMPILE) pyproject.toml

lock: setup
	$(LOCK) --all-extras --output-file requirements-extras.lock
	$(LOCK) --extra openai --extra build --constraint requirements-extras.lock --output-file requirements.lock
	printf 'setuptools\nuv==$(UV_VERSION)\n' | $(COMPILE) --output-file requirements-installer.lock -

clean:
	rm -rf data/runs data/index data/ledger.sqlite* data/.lock data/log.key logs htmlcov .coverage* dist build notebooks/*.ipynb
