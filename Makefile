# Every target sets up what it needs in .venv: Python 3.10-3.12, a C++ compiler and make are enough to start.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/done
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTHON ?=
SOURCES := $(shell find mono_depth_ros msg launch config models scripts -type f -not -path '*/__pycache__/*' 2>/dev/null)

# The built package first, so that `mono_depth_ros` is the one with the messages.
WITH_INSTALL := [ -f install/setup.bash ] || { echo "install/ is gone; run: make clean build" >&2; exit 1; }; export PATH="$(CURDIR)/$(BIN):$$PATH"; set +u; . install/setup.bash; set -u;

.PHONY: help setup train-setup build demo test test-torch test-ros lint format clean distclean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(DONE)/package ## .venv with everything to run (no torch) and the mono-depth command
build: $(DONE)/build ## colcon build of the package and its messages into install/

demo: $(DONE)/build ## the main job on a synthetic drive: out/demo/report.html
	@$(WITH_INSTALL) mono-depth demo --out out/demo

test: $(DONE)/build $(DONE)/dev $(DONE)/train ## every test: numpy, torch, ROS
	@echo "pytest test, on every core"; $(WITH_INSTALL) ROS_PYTHON_CHECK_FIELDS=1 OMP_NUM_THREADS=1 pytest -n auto --dist loadfile test

train-setup: $(DONE)/package $(DONE)/train ## what training needs: torch, lightning, the encoder's ImageNet weights

test-torch: $(DONE)/package $(DONE)/dev $(DONE)/train ## networks, objectives, training
	$(BIN)/pytest test/networks test/objectives test/training

test-ros: $(DONE)/build $(DONE)/dev ## the ROS 2 node
	@echo "pytest test/ros"; $(WITH_INSTALL) ROS_PYTHON_CHECK_FIELDS=1 pytest test/ros

lint: $(DONE)/package $(DONE)/dev ## ruff check, ruff format, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DONE)/dev ## let ruff rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what was built (not out/, which may hold a training run)
	rm -rf build install log $(DONE)/build

distclean: clean ## also remove .venv
	rm -rf $(VENV)

$(DONE)/venv:
	@chosen=""; for candidate in $(or $(PYTHON),python3 python3.12 python3.11 python3.10); do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null; \
	  then chosen="$$candidate"; break; fi; done; \
	if [ -z "$$chosen" ]; then \
	  echo "error: expected Python 3.10, 3.11 or 3.12 with its venv module, found none; install one (on Ubuntu or Debian:" \
	    "apt install python3-venv python3-dev) or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; fi; \
	echo "creating $(VENV) with $$("$$chosen" --version)"; "$$chosen" -m venv $(VENV); mkdir -p $(DONE); touch $@

$(DONE)/run: requirements/run.txt requirements/ros-wheels.txt | $(DONE)/venv
	@echo "installing the run time and ROS 2 Jazzy wheels (about 210 MB to download)"
	@$(PIP) -r requirements/run.txt -r requirements/ros-wheels.txt
	@touch $@

$(DONE)/package: setup.py pyproject.toml $(DONE)/run
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DONE)/dev: requirements/dev.txt requirements/run.txt $(DONE)/run
	@echo "installing test and lint tools"
	@$(PIP) -r requirements/run.txt -r requirements/dev.txt
	@touch $@

$(DONE)/train: requirements/train.txt requirements/run.txt $(DONE)/run
	@echo "installing torch and its company (large)"
	@$(PIP) -r requirements/run.txt -r requirements/train.txt
	@touch $@

$(DONE)/build: package.xml CMakeLists.txt $(SOURCES) $(DONE)/package
	@export PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" \
	  AMENT_PREFIX_PATH="$(CURDIR)/$(VENV)" CMAKE_PREFIX_PATH="$(CURDIR)/$(VENV)"; \
	colcon build --packages-select mono_depth_ros --cmake-args \
	  -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$(CURDIR)/$(BIN)/python"
	@touch $@
