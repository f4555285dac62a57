# make demo: the product on this machine.  make test, make check: what the continuous integration runs, after make training,
# so that nothing is skipped.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
COMMA := ,
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# A folder of wheels beside the Makefile takes the place of the package index.
WHEELS ?= $(wildcard wheels)
ifneq ($(WHEELS),)
export PIP_NO_INDEX := 1
export PIP_FIND_LINKS := $(abspath $(WHEELS))
endif

.PHONY: demo test check faults gpu-check bench training models docs platforms sbom wheel size deb bundle packages-check clean

demo: $(VENV)/.demo
	$(BIN)/edge-demo $(DEMO)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(TEST)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m export.fatbin --check

gpu-check: $(VENV)/.gpu  # all that only a machine with an NVIDIA GPU can tell; TENSORRT="tensorrt-rtx" installs that one
	-$(BIN)/python -m export.fatbin --check
	EDGE_GPU_REQUIRED=1 $(BIN)/python -m pytest -m gpu -s tests/gpu

packages-check: $(VENV)/.dev  # builds, installs and removes each package: minutes, as root, with an index at hand
	EDGE_TEST_PACKAGES=1 $(BIN)/python -m pytest -q -rs tests/packages

faults: $(VENV)/.dev  # counts one row of docs/reliability.md: make faults ROW=daemon-kills TRIALS=30 SEED=7
	$(BIN)/python -m tests.faults.count $(ROW) $(if $(TRIALS),--trials $(TRIALS)) $(if $(SEED),--seed $(SEED)) --log
	$(BIN)/python -m tests.faults.count --table

bench: $(VENV)/.dev
	$(BIN)/edge-bench $(BENCH)

training: $(VENV)/.training  # all that trains, exports and compares: torch, some gigabytes

models: $(VENV)/.training
	$(BIN)/python -m training.learn.make_models --weights $(or $(WEIGHTS),coco) \
		--classifier-weights $(or $(CLASSIFIER_WEIGHTS),imagenet) --out edge/models/files $(if $(REAL),--real $(REAL)) $(if $(OXIDE),--oxide $(OXIDE))

docs: $(VENV)/.dev
	$(BIN)/python -m edge.wire.schema docs

platforms: | $(BIN)/python  # wheels of the base install for Windows and macOS exist, at our pins; downloads nothing, needs the index
	for platform in win_amd64 macosx_14_0_arm64; do $(PIP) install --dry-run --target unused --only-binary=:all: --platform $$platform \
		--constraint constraints.txt $$($(BIN)/python -c 'import tomllib; print(*(name.split(";")[0].replace(" ", "") for name in \
		tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"] if ";" not in name))') \
		&& echo "$$platform: every wheel is there" || exit 1; done

sbom: | $(BIN)/python  # CycloneDX of what runs on the edge, the shipped models included; EXTRAS=openvino,signed as installed there
	$(PIP) install --constraint constraints.txt --editable '.[sbom$(if $(EXTRAS),$(COMMA)$(EXTRAS))]'
	$(BIN)/python -m export.sbom $(foreach extra,$(subst $(COMMA), ,$(EXTRAS)),--extra $(extra)) --out sbom.cdx.json

wheel size deb bundle:  # what is handed out, with its bill of materials, into dist/; size: megabytes of each library
	PYTHON=$(PYTHON) $(if $(EXTRAS),EXTRAS=$(EXTRAS)) packaging/build.sh $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.demo

# JetPack's and a container's own TensorRT lies beside the system's Python. PyCUDA is compiled and looks for nvcc in PATH.
$(VENV)/.gpu: pyproject.toml constraints.txt | $(BIN)/python
	if $(PYTHON) -c 'import tensorrt' 2>/dev/null; then \
		sed -i 's/^include-system-site-packages = .*/include-system-site-packages = true/' $(VENV)/pyvenv.cfg; fi
	$(PIP) install --constraint constraints.txt --editable . onnx pytest pytest-timeout hypothesis
	@for library in pycuda nvidia-ml-py $(TENSORRT); do PATH="$$PATH:/usr/local/cuda/bin" \
		$(PIP) install --constraint constraints.txt $$library || echo "gpu-check: $$library is not installed, the table says what that costs"; done
	@if $(BIN)/python -c 'import pycuda' 2>/dev/null; then touch $@; fi

$(VENV)/.training: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable '.[training,dev]'
	@touch $@ $(VENV)/.dev $(VENV)/.demo

$(VENV)/.node: | $(BIN)/python  # a real Node-RED and AsyncAPI's parser, for the tests alone
	npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(VENV)/node node-red@4.1.15 @asyncapi/parser@3.6.6
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache demo-out
