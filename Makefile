# EdgeBERT: `make demo` builds the demo's bundles, `make test` judges the code. Both set everything up first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
READY := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

.PHONY: demo clients test check lint setup system-deps clean

demo: setup
	$(BIN)/edgebert build recipes/home-intents.toml

# The demo's bundles as an app developer copies them, for who does not train.
clients: demo
	$(BIN)/edgebert doctor --install web
	$(BIN)/edgebert export-client build/home-intents/android-cpu android -o build/clients/android
	$(BIN)/edgebert export-client build/home-intents/android-cpu mediapipe -o build/clients/mediapipe
	$(BIN)/edgebert export-client build/home-intents/raspberry-pi-5 cpp -o build/clients/cpp
	$(BIN)/edgebert export-client build/home-intents/raspberry-pi-5 web -o build/clients/web

test: setup lint
	$(BIN)/edgebert doctor --install onnxruntime-oldest
	$(BIN)/edgebert doctor --install onnxruntime-headers
	$(BIN)/edgebert doctor --install mediapipe
	$(BIN)/edgebert doctor --install mediapipe-web
	$(BIN)/edgebert doctor --install optimum
	$(BIN)/edgebert doctor --install tflite-runtime-2.14
	$(BIN)/edgebert doctor --install qemu
	$(BIN)/edgebert doctor --install kotlin
	$(BIN)/edgebert doctor --install web
	$(BIN)/edgebert doctor --install transformers-js
	$(PYTEST)

check: setup lint
	$(PYTEST) -m "not slow"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "EdgeBERT needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): some minutes and 3 GB of disk"
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[build,tflite,neural-compressor,demo,dev]'
	touch $(READY)

# System packages that the proofs need beyond Python; runs apt as root.
system-deps:
	xargs -r -a system-packages.txt apt-get install --yes --no-install-recommends
	command -v npm >/dev/null || apt-get install --yes --no-install-recommends npm

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache
