# `make help` lists the targets. Runs under GNU Make 3.81 and later.
#
# Which chapters are stale, and in which order they are executed, is the business of notebooks/run_all.py.

PROFILE ?= quick
DATA ?=
SETS ?=
CHAPTER ?=
PARAMETERS ?=
JOBS ?=
PORT ?= 8000

# Kept by the process, the memory of large tensors is not fetched from the system again at every step (Linux; ignored elsewhere).
export MALLOC_MMAP_THRESHOLD_ = 1073741824
export MALLOC_TRIM_THRESHOLD_ = 8589934592
export MALLOC_TOP_PAD_ = 268435456

SHOWN = $(shell cat runs/latest 2>/dev/null || echo book/reference)
export PARAMETERS

# A name that make does not know would change nothing without a word.
COMMA := ,
KNOWN := PROFILE DATA SETS CHAPTER PARAMETERS JOBS PORT SIMULATE REFIT CONDA PYTHON ENV BIN READY SHELL
GIVEN := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
UNKNOWN := $(filter-out $(KNOWN) MAKEFLAGS MAKEOVERRIDES -*-%,$(GIVEN))
CLOSEST = $(shell $(or $(wildcard $(BIN)/python),python3) -c 'import difflib, sys; name, *known = sys.argv[1:]; \
	print(*difflib.get_close_matches(name.upper(), known, 1, 0.6))' $(1) $(KNOWN) 2>/dev/null)

# Conda, mamba or micromamba makes the environment where there is one, otherwise venv with the first Python that fits.
CONDA := $(shell for tool in conda mamba micromamba; do command -v $$tool && break; done)
PYTHON = $(shell for python in python3.12 python3.11 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])' 2>/dev/null \
	&& echo $$python && break; done)
ifneq ($(CONDA),)
ENV := .conda
CREATE = CONDA_ALWAYS_YES=true MAMBA_ALWAYS_YES=true \
	$(CONDA) $(if $(findstring micromamba,$(CONDA)),,env) create --prefix ./.conda --file environment.yml
else
ENV := .venv
CREATE = $(or $(PYTHON),$(error No Python 3.11 or 3.12 with venv was found. Install one, or name it: \
	make env PYTHON=/path/to/python3.12)) -m venv .venv && .venv/bin/python -m pip install --requirement requirements.lock
endif
BIN := $(ENV)/bin
# A copied, moved or linked project runs its own library, wherever its environment was built.
export PYTHONPATH := $(CURDIR)/lib$(if $(PYTHONPATH),:$(PYTHONPATH))
READY := $(ENV)/complete
BUILDING := $(ENV).building
$(foreach name,$(UNKNOWN),$(error $(name)=: there is no such variable$(patsubst %,$(COMMA) did you mean %=?,$(call CLOSEST,$(name))) \
	(there are PROFILE DATA SETS CHAPTER PARAMETERS JOBS PORT SIMULATE REFIT CONDA PYTHON)))

# The last file of an environment says for which packages and which folder it was made. One that was copied or moved, or
# that lacks packages of the list, is brought up to date; one that does not start any more is built anew. A link is the
# environment of another folder and used as it is.
MADE_FOR := $(shell cat requirements.lock environment.yml | cksum) $(CURDIR)
STATE := $(shell \
	if test ! -e $(READY); then echo missing; \
	elif test ! -e $(ENV); then echo current; \
	elif ! $(ENV)/bin/python -c 'import pip' 2>/dev/null; then echo broken; \
	elif test -L $(ENV) || test "$$(cat $(READY))" = "$(MADE_FOR)"; then echo current; \
	else echo outdated; fi)

.PHONY: help env data run-all chapter book serve lab style check test-fast test bench torture publish clean FORCE

help:  ## list the targets
	@sed -n -E 's/^([a-z-]+):.*## (.*)/\1|\2/p' Makefile | awk -F'|' '{ printf "make %-9s %s\n", $$1, $$2 }'

env: $(READY)  ## build the environment (every other target does so when it is missing)

data: $(READY)  ## download official releases: SETS="ptb-xl cinc2017" DATA=data
	$(BIN)/python -m biosignals.data.download $(SETS) --folder "$(or $(DATA),data)"

run-all: $(READY)  ## execute what is stale, render the book: PROFILE=quick, small, reference or full; DATA=folder; JOBS=n
	@$(BIN)/python notebooks/run_all.py --profile "$(PROFILE)" --data "$(DATA)" $(if $(JOBS),--jobs $(JOBS))
	@$(MAKE) --no-print-directory book

chapter: $(READY)  ## execute one, render it among the others: CHAPTER=04 PROFILE= DATA= PARAMETERS="trees=100 seeds=[0, 1]"
	@$(BIN)/python notebooks/execute.py "$(CHAPTER)" --profile "$(PROFILE)" --data "$(DATA)" --parameters "$$PARAMETERS" --show
	@$(MAKE) --no-print-directory book

book: $(READY)  ## render the newest run, or else the reference run, with the text of now, without executing anything
	@$(BIN)/python notebooks/render.py $(SHOWN)

serve: book  ## render the book and show it at http://127.0.0.1:8000, on this machine alone: PORT=8000
	@$(BIN)/python -m http.server "$(PORT)" --bind 127.0.0.1 --directory book/_build/html

lab: $(READY)  ## open the chapters in Jupyter Lab, with this environment's kernel before any other
	JUPYTER_PATH= JUPYTER_PREFER_ENV_PATH=1 $(BIN)/python -m jupyterlab notebooks

style: $(READY)  ## look for faults of style and spelling, in a second or two
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m codespell_lib

check: style  ## these, and types, the order of imports and docstrings, in under a minute
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest tests/test_architecture.py tests/test_docstrings.py

# Files of tests side by side, a file whole in one process; those that wait for the run of every chapter come last.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-fast: $(READY)  ## run the tests that are not slow, in under two minutes
	$(PYTEST) -m "not slow"

test: $(READY)  ## run every test
	$(PYTEST)

bench: $(READY)  ## measure speed, side by side, for the page on it: DATA=folder
	$(BIN)/python tests/bench.py --data "$(DATA)"

torture: $(READY)  ## kill long work and damage files at length, some ten minutes: counts in book/torture.csv
	$(BIN)/python tests/torture.py

publish: $(READY)  ## make the finished run of PROFILE=reference the one that the book shows
	@$(BIN)/python notebooks/publish.py

clean:  ## remove runs, caches and the rendered book; environment and data stay
	rm -rf runs cache book/_build book/chapters .pytest_cache .hypothesis .ruff_cache .mypy_cache

$(READY): $(if $(filter current,$(STATE)),,FORCE)
	@test ! -L $(ENV) || { echo "$(ENV) is a link to an environment that is not complete or does not start:" \
		"run make env where it lies, or remove the link" >&2; exit 1; }
	@(set -C; echo $$PPID > $(BUILDING)) 2>/dev/null || ! kill -0 $$(cat $(BUILDING)) 2>/dev/null || { echo "another" \
		"make, process $$(cat $(BUILDING)), is building $(ENV): run this again when it has finished" >&2; exit 1; }
	@echo $$PPID > $(BUILDING)
ifeq ($(STATE),outdated)
	@echo "$(ENV) was made in another folder or for other packages than those of requirements.lock: it is brought up to date"
	for script in $$(grep -lI '/$(ENV)' $(BIN)/*); do \
		sed -i.old "s|/[^ \"']*/$(ENV)|$(CURDIR)/$(ENV)|g" $$script && rm $$script.old; done
	$(BIN)/python -m pip install --requirement requirements.lock
else
	@test $(STATE) != broken || echo "$(ENV) does not start any more, its Python was moved or removed: it is built anew"
	rm -rf $(ENV)
	$(CREATE)
endif
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	rm -f $@ && echo "$(MADE_FOR)" > $@ && rm -f $(BUILDING)
