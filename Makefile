# The commands of the project; README.md names them. Everything is installed into .venv on first use.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MINORS ?= 1.34,1.37
FUZZ ?= tests/policies tests/cluster
PYTEST ?= $(BIN)/pytest

# The stories start our programs hundreds of times: none shall compile itself anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup lint type unit fuzz control-plane bench-quick test stories e2e bench demo lock protos crds chart helm sbom images clean

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-15s %s\n", $$1, $$2}'

setup: $(STAMP) ## Create .venv with the locked, hash-checked dependencies

$(STAMP): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

lint: $(STAMP) ## Formatting, lint rules, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m moorage_crds.render --check
	$(BIN)/python -m moorage_cli.chart.render --check --golden
	$(BIN)/yamllint --strict -c charts/yamllint.yaml charts tests/charts/cases tests/charts/golden

type: $(STAMP) ## mypy --strict over every package
	$(BIN)/mypy

helm: $(STAMP) ## Get helm, as the other programs: found, downloaded or built once
	$(BIN)/moorage control-plane build --minors "" --helm

unit: $(STAMP) helm ## The fast lane: unit and property tests
	$(PYTEST) -m "not control_plane and not kind" -n 2 -q

fuzz: $(STAMP) helm ## The property tests of FUZZ with new and many more examples
	MOORAGE_EXAMPLES=fuzz $(PYTEST) -m "not control_plane and not kind" $(FUZZ) -n 2 -q

control-plane: $(STAMP) helm ## Stories on a real etcd, kube-apiserver and kube-scheduler, on each minor in MINORS
	$(BIN)/moorage control-plane build --minors $(MINORS) --prometheus
	MOORAGE_KUBERNETES_MINORS=$(MINORS) $(PYTEST) -m control_plane -n 2 --dist loadfile -q

stories: $(STAMP) ## The stories of control-plane alone: every part a process on a real API server
	$(BIN)/moorage control-plane build --minors $(MINORS)
	MOORAGE_KUBERNETES_MINORS=$(MINORS) $(PYTEST) tests/stories -q

e2e: $(STAMP) helm ## The chart on a real kind cluster; E2E_KUBECONFIG names another cluster instead
	$(BIN)/moorage kind run -- $(PYTEST) e2e/stories -q --durations=10 --timeout 900

bench-quick: $(STAMP) ## Every benchmark protocol once, small: shows that it runs
	$(BIN)/moorage bench all --quick

test: export MOORAGE_EXAMPLES ?= steady
test: lint type unit control-plane bench-quick ## Everything but kind, what CI runs

bench: $(STAMP) ## The benchmark protocols at full size
	$(BIN)/moorage bench all

demo: $(STAMP) ## The main job on a real control plane, with a live table
	$(BIN)/moorage demo

protos: $(STAMP) ## Write the mock device plugin's messages anew from the interface
	cd e2e && ../$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. \
	  moorage_mocks/device_plugin/device_plugin.proto

lock: ## Write requirements.lock anew from pyproject.toml: versions and hashes, no index address
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --python-version 3.11 --quiet -o requirements.lock
	for program in extender operator probe mock engine; do \
	  $(BIN)/uv pip compile pyproject.toml --extra $$program --constraint requirements.lock \
	    --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
	    --quiet -o images/requirements-$$program.lock; done
	printf 'hatchling\ncyclonedx-bom\n' | $(BIN)/uv pip compile - --constraint requirements.lock \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
	  --quiet -o images/requirements-build.lock

sbom: $(STAMP) ## Write what each image holds into dist/sbom, as CycloneDX
	mkdir -p dist/sbom
	for extra in extender operator probe mock engine; do \
	  $(BIN)/python -m cyclonedx_py requirements --output-reproducible --pyproject pyproject.toml \
	    --output-file dist/sbom/$$extra.cdx.json images/requirements-$$extra.lock; done

images: ## Build the images with docker: extender, operator, probe, and the mocks for tests
	for program in extender operator probe mock-device-plugin sample-engine; do \
	  docker build --file images/Dockerfile --target $$program \
	    --build-arg REVISION=$$(git rev-parse HEAD) \
	    --tag registry.moorage.dev/moorage/$$program:0.1.0 .; done

crds: $(STAMP) ## Render the custom resources from the models
	$(BIN)/python -m moorage_crds.render

chart: $(STAMP) ## Write what the chart takes from the code, and its rendered examples
	$(BIN)/python -m moorage_cli.chart.render --golden

clean: ## Remove what the targets made in this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
