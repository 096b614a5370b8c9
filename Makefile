# Everything goes through here. `make` alone lists the targets.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PY := .venv/bin/python
READY := .venv/.ready
export REMIT_CACHE ?= $(HOME)/.cache/remit
export KUBECACHEDIR ?= $(REMIT_CACHE)/kubectl
# A plain `su` keeps a PATH without these, and dpkg and chroot need them.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
ARGS ?=

.PHONY: help bootstrap demo test check check-static generate bench campaign clean clean-tree \
	test-unit test-property test-golden test-dataplane test-apiserver test-e2e

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml uv.lock tools/bootstrap tools/uv-requirements.txt
	@tools/bootstrap

bootstrap: $(READY) ## Make .venv from uv.lock (every other target does it when needed)

demo: $(READY) ## Tell the whole story on an embedded cluster, or on the one of KUBECONFIG
	@$(PY) -m remit.cli demo $(ARGS)

test: $(READY) ## Run all tiers and print the counts
	@$(PY) tools/run_tiers.py

check: check-static ## Before every commit: format, lint, types, layers, generated files, unit, property
	@REMIT_HYPOTHESIS=quick $(PY) tools/run_tiers.py unit property golden

check-static: $(READY) ## The part of `check` that runs no test
	@$(PY) tools/check_static.py

generate: $(READY) ## Rewrite crds/, manifests and docs tables from the models
	@$(PY) -m remit.codegen

bench: $(READY) ## Run the benchmarks and write benchmarks/results/latest.json
	@$(PY) -m benchmarks $(ARGS)

campaign: $(READY) ## Run the long campaigns of campaigns/; ARGS="--only NAME --seed N --short"
	@nice -n 10 $(PY) tools/campaign.py $(ARGS)

test-unit: $(READY) ## Seconds: no socket, no clock
	@$(PY) -m pytest tests/unit $(ARGS)

test-property: $(READY) ## Hypothesis
	@$(PY) -m pytest tests/property $(ARGS)

test-golden: $(READY) ## Input and expected output as files
	@$(PY) -m pytest tests/golden $(ARGS)

test-dataplane: $(READY) ## A real gateway process, fake upstreams, no Kubernetes
	@$(PY) -m pytest tests/dataplane $(ARGS)

test-apiserver: $(READY) ## A real kube-apiserver
	@$(PY) -m pytest tests/apiserver $(ARGS)

test-e2e: $(READY) ## The embedded cluster with real pods
	@$(PY) -m pytest tests/e2e $(ARGS)

clean: ## Take down our clusters, remove .venv, build products and the cache outside the tree
	@tools/clean --cache

clean-tree: ## As clean, but keep the cache outside the tree
	@tools/clean
