.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help: ## List what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(VENV)/ready ## Make .venv and install the package with its development tools

DEMO := gradcam_output
demo: setup ## Explain the sample pictures with the embedded model: panels, a contact sheet, a report
	$(BIN)/gradcam run sample_images --model efficientnet-lite0 --class top3 --save overlay,panel -o $(DEMO)
	$(BIN)/gradcam sheet $(DEMO) --columns 4 -o $(DEMO)/sheet.png
	$(BIN)/gradcam report $(DEMO)
	@echo
	@echo "A panel of each picture: $(CURDIR)/$(DEMO)/sample_images/cat.jpg.panel.jpg and eleven more"
	@echo "The contact sheet:       $(CURDIR)/$(DEMO)/sheet.png"
	@echo "The report:              $(CURDIR)/$(DEMO)/report.html"

test: setup ## Run the test suite, offline
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: setup ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: setup ## Check types
	$(BIN)/mypy

coverage: setup ## Run all tests, long ones too, and measure what of the package they reach
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "long or not long" --cov --cov-report=term

check: lint type coverage ## Everything that has to pass before a change lands

lowest: ## Try the program with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet uv
	build/lowest/bin/uv pip install --quiet --python build/lowest/bin/python --resolution lowest-direct .
	build/lowest/bin/gradcam run --help > build/lowest/help.txt
	build/lowest/bin/gradcam run sample_images --model efficientnet-lite0 -o build/lowest/out
	build/lowest/bin/gradcam report build/lowest/out
	build/lowest/bin/gradcam check tests/gate/samples.json

bench: setup ## Measure this machine against bare prediction and the usual script, with bounds
	$(BIN)/python benchmarks/compare.py --model MobileNetV2 --at-least 0.85 --at-most 0.9
	$(BIN)/python benchmarks/compare.py --model VGG16 --rounds 3 --at-least 0.85 --at-most 0.65
	$(BIN)/python benchmarks/photos.py --at-least 0.6
	$(BIN)/python benchmarks/startup.py --at-most 1.6
	$(BIN)/python benchmarks/agreement.py
	$(BIN)/python benchmarks/report.py --pictures 5000 --at-most 5

attack: setup ## Try damaged pictures and crafted model files for a long time; fails when one gets through
	nice $(BIN)/python -m tests.attack --seed 1 --pictures 14400 --models 400

clean: ## Remove what was made
	rm -rf $(VENV) gradcam_output build dist

.PHONY: help setup demo test coverage lint type check lowest bench attack clean
