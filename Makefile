# One environment for everything; the CUDA build of JAX only where an NVIDIA GPU answers.
PYTHON ?= python3
VENV ?= .venv
comma := ,
BUILD := $(shell nvidia-smi -L 2>/dev/null | grep -q GPU && echo cuda12,)test
INSTALLED := $(VENV)/installed-$(subst $(comma),-,$(BUILD))
RUN := $(VENV)/bin/python
LIBTPU := import importlib.metadata as m; print(next(r.split(";")[0] for r in m.requires("jax") if r.startswith("libtpu")))

.PHONY: help demo test scale slow reliability mutate check docs wheel format coverage benchmark clean

help:  ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

demo: $(INSTALLED)  ## set up, then compare cross-entropy and ISDA on real digits (5 seeds; minutes on two cores)
	$(RUN) main.py --config=configs/isda_digits.py

test: $(INSTALLED)  ## set up, then run the tests
	$(RUN) -m pytest -q -n auto --dist loadfile --durations=10

scale: $(INSTALLED)  ## compile for TPUs that are not here (installs their compiler, 0.7 GB, into a folder of its own)
	test -d $(VENV)/tpu/libtpu || $(RUN) -m pip install --disable-pip-version-check -q --no-deps --target $(VENV)/tpu "$$($(RUN) -c '$(LIBTPU)')"
	PYTHONPATH=$(VENV)/tpu $(RUN) -m pytest -q -m scale

slow: $(INSTALLED)  ## the tests that train for minutes
	$(RUN) -m pytest -q -m slow

reliability: $(INSTALLED)  ## try every fault again, and write docs/reliability.md
	$(RUN) -m pytest -q -m fault --reliability=docs/reliability.md

mutate: $(INSTALLED)  ## small changes of the core maths, one at a time: which do the tests notice? (hours)
	$(RUN) -m pip install --disable-pip-version-check -q -e '.[$(BUILD),mutate]'
	$(RUN) tests/mutate.py $(if $(CHANGES),--changes $(CHANGES)) $(if $(PACKAGES),--packages $(PACKAGES))

check: $(INSTALLED)  ## format, lint and types
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

docs: $(INSTALLED)  ## build the documentation into site/, and check its links and that nothing public is missing
	$(RUN) -m pip install --disable-pip-version-check -q -e '.[$(BUILD),docs]'
	PYTHONPATH=docs $(RUN) -m zensical build --strict
	$(RUN) -m pytest -q -m '' tests/unit/test_site.py

wheel: $(INSTALLED)  ## build dist/jaxaug-*.whl, with the trainer and its configs
	rm -rf build
	$(RUN) -m pip wheel --disable-pip-version-check -q --no-deps -w dist .
	rm -rf build

format: $(INSTALLED)  ## mend what can be mended
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

coverage: $(INSTALLED)  ## the tests, with the share of lines they run
	$(RUN) -m pytest -q --cov --cov-report=term-missing:skip-covered

benchmark: $(INSTALLED)  ## what ISDA and the searches cost, how fast augmentation is; peers from PEERS=path/to/python
	$(RUN) benchmarks/isda.py
	$(RUN) benchmarks/pixel_isda.py
	$(RUN) benchmarks/autodo.py
	$(RUN) benchmarks/deepaa.py
	$(RUN) benchmarks/augment.py $(if $(PEERS),--python $(PEERS))

clean:  ## remove the environment and the caches
	rm -rf $(VENV) site dist .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(INSTALLED): requirements-cpu.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jaxaug needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --disable-pip-version-check -q -e '.[$(BUILD)]'
	touch $@
