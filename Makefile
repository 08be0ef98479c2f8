# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv by itself when it is not there.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test test-all lint clean readme

# not compiled: modules are when they are first imported, most of them never, and all of them take a minute
.venv/installed: requirements.txt requirements-dev.txt
	@echo "making .venv and installing the pinned requirements (some minutes, once) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -r requirements-dev.txt
	@touch $@

demo: .venv/installed  ## all phases on the embedded digits, the table, the figures; MORE=attention adds a row
	$(BIN)/python reproduce.py digits --methods baseline proposal textures $(MORE) --out runs/demo

# in the order of the files: files of few tests, some of minutes, would be left for last and keep one core waiting;
# what XLA compiles runs for moments here, so that optimising it takes longer than it saves
test: export XLA_FLAGS = --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true
test: .venv/installed  ## the tests that take minutes in all, a file at a time on each of two cores
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

test-all: .venv/installed  ## and the slow ones: README commands, real data, killed processes
	$(BIN)/python -m pytest -q -m ""

lint: .venv/installed
	$(BIN)/ruff check .

clean:
	rm -rf .venv runs

readme:  ## copies the recorded tables into the pages that show them
	$(BIN)/python -c "from report.formats import fill_all; fill_all('.')"
