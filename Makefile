# Two commands set everything up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
WAV ?=

.PHONY: help env demo test test-c test-arm test-python test-pipewire test-browser test-interop docs lint sanitize sanitize-address \
        sanitize-thread sanitize-python fuzz fuzz-build fuzz-server load soak soak-device wheel instructions bench clean

help:
	@echo "make demo      hold a spoken conversation with the server inside; leaves out/ (WAV=path takes your own voice)"
	@echo "make test      C tests, Python tests, ruff, mypy --strict"
	@echo "make test-arm  C tests for AArch64 under qemu, and the same sound through both builds; needs a cross compiler and qemu"
	@echo "make test-pipewire  timing of the sound device on PipeWire's null nodes"
	@echo "make test-browser  the playground in Chromium (apt-get install chromium), with a fake microphone"
	@echo "make test-interop   our server with clients of others, our client with a server of others: in real time, minutes;"
	@echo "                    what cannot be installed is skipped. RECORD=1 writes the matrix of the documentation"
	@echo "make sanitize  the C core and its tests under ASan+UBSan and TSan; Python teardown under ASan"
	@echo "make fuzz      the C core under libFuzzer with ASan+UBSan, FUZZ_SECONDS (60) for each target of csrc/fuzz; needs clang"
	@echo "make fuzz-server  clients that do anything at any time, FUZZ_EXAMPLES (2000) of them, against the embedded server's rules; and its HTTP"
	@echo "make load      sessions that one core holds, through both fronts of the server, into bench/load.md; on two idle cores"
	@echo "make soak      an hour of conversation on the virtual clock: memory, ledger, counters"
	@echo "make soak-device  ten minutes (SECONDS=600) of it through PulseAudio, in real time"
	@echo "make wheel     build sdist and wheel into dist/, the wheel from the sdist"
	@echo "make instructions  instructions per hop against bench/instructions.json (RECORD=1 writes it); needs valgrind"
	@echo "make bench     speed, latency and sound beside the peers, into bench/results.md and plots (FULL=1: more runs)"
	@echo "make docs      the documentation into build/site: guide, pitfalls, reference, figures; strict"
	@echo "make clean     remove everything that was built"

env: $(VENV)/ready

# Build tools come from the package index, so a machine needs only a C compiler, make and Python with headers and venv.
$(VENV)/tools: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q "scikit-build-core>=1.0" "cffi>=1.17" cmake ninja
	touch $@

$(VENV)/ready: $(VENV)/tools
	$(BIN)/python -m pip install -q --no-build-isolation -e ".[dev]"
	touch $@

# What a demo needs is a third of what the tests need.
$(VENV)/demo-ready: $(VENV)/tools
	$(BIN)/python -m pip install -q --no-build-isolation -e ".[demo]"
	touch $@

demo: $(if $(wildcard $(VENV)/ready),$(VENV)/ready,$(VENV)/demo-ready)
	$(BIN)/bargein demo $(if $(WAV),--wav "$(WAV)") --out out

test: lint test-c test-python

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test-c: env
	$(BIN)/cmake -S . -B build/tests -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DBARGEIN_TESTS=ON > /dev/null
	$(BIN)/cmake --build build/tests -j $(JOBS)
	$(BIN)/ctest --test-dir build/tests --output-on-failure -j $(JOBS)

# The core on a Raspberry Pi's instructions. Emulated, so it says nothing of speed, and x86 hides weak memory ordering (that is `make
# sanitize`'s). What both builds make of the same sound is compared: sound within 1e-5 of full scale, probabilities within 3e-3 (each row
# of csrc/tests/same has its own), every code, decision and count equal.
ARM_TOOLS := aarch64-linux-gnu-gcc qemu-aarch64
SAME := $(abspath engine/data/caller.wav)
test-arm: env
	@for tool in $(ARM_TOOLS); do command -v $$tool > /dev/null || { echo "make test-arm needs $$tool (Debian: apt-get install \
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)"; exit 1; }; done
	$(BIN)/cmake -S . -B build/tests -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DBARGEIN_TESTS=ON > /dev/null
	$(BIN)/cmake --build build/tests --target same -j $(JOBS)
	$(BIN)/cmake -S . -B build/arm -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DBARGEIN_TESTS=ON \
	    -DCMAKE_TOOLCHAIN_FILE=$(abspath csrc/tests/aarch64.cmake) > /dev/null
	$(BIN)/cmake --build build/arm -j $(JOBS)
	build/tests/same $(SAME) --write build/arm/same.here
	qemu-aarch64 -L /usr/aarch64-linux-gnu build/arm/same $(SAME) build/arm/same.here
	$(BIN)/ctest --test-dir build/arm --output-on-failure -j $(JOBS)

test-python: env
	$(BIN)/pytest

# Timing on PipeWire. Debian 12 has ALSA's way to it in a package that conflicts with PulseAudio: unpack it (dpkg -x) and name the folder.
BARGEIN_PIPEWIRE_ALSA ?=
test-pipewire: env
	BARGEIN_REQUIRE=pipewire $(if $(BARGEIN_PIPEWIRE_ALSA),BARGEIN_PIPEWIRE_ALSA=$(BARGEIN_PIPEWIRE_ALSA)) $(BIN)/pytest tests/device/test_pipewire.py

# The page in a browser of the system; its driver (45 MB) is not for everybody who runs the tests.
$(VENV)/browser-ready: $(VENV)/ready
	$(BIN)/python -m pip install -q "playwright>=1.49"
	touch $@

test-browser: $(VENV)/browser-ready
	BARGEIN_REQUIRE=chromium $(BIN)/pytest tests/playground

# Programs that nobody here wrote, each in an environment of its own under build/interop; tests/interop/clients.toml names
# and pins them. CLIENTS: names of that file, or `pip` or `npm` for all that come from there.
CLIENTS ?=
test-interop: env
	$(BIN)/python -m tests.interop.environments $(CLIENTS)
	BARGEIN_INTEROP=1 $(BIN)/pytest tests/interop $(if $(RECORD),--ignore=tests/interop/test_matrix.py)
	$(if $(RECORD),$(BIN)/python -m tests.interop.matrix)

sanitize: sanitize-address sanitize-thread sanitize-python

sanitize-address sanitize-thread: sanitize-%: env
	$(BIN)/cmake -S . -B build/$* -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DBARGEIN_TESTS=ON \
	    -DBARGEIN_SANITIZE=$(if $(filter address,$*),address$(,)undefined,thread) > /dev/null
	$(BIN)/cmake --build build/$* -j $(JOBS)
	$(BIN)/ctest --test-dir build/$* --output-on-failure -j $(JOBS)

, := ,

# The Python tests of sound and teardown over a core built with ASan and UBSan: nothing may be freed under a running thread. Among them
# Ctrl-C at random times and devices that die. A finding ends a process with 99, which no test takes for an interruption.
SANITIZED ?= tests/audio tests/conversation/test_failures.py tests/conversation/test_interruption.py tests/device/test_life.py \
    tests/device/test_supervision.py tests/device/test_renewal.py -k "not remembered"
SITE := build/python-address/site
sanitize-python: env
	$(BIN)/cmake -S . -B build/python-address -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DBARGEIN_EXTENSION=ON \
	    -DBARGEIN_SANITIZE=address,undefined -DPython_EXECUTABLE=$(abspath $(BIN))/python > /dev/null
	$(BIN)/cmake --build build/python-address -j $(JOBS)
	rm -rf $(SITE) && mkdir -p $(SITE) && cp -r engine tests examples bench pyproject.toml $(SITE)/
	cp build/python-address/_native*.so $(SITE)/engine/
	cd $(SITE) && PYTHONPATH=$$($(abspath $(BIN))/python -c "import sysconfig; print(sysconfig.get_paths()['purelib'])") \
	    BARGEIN_SHARED=$${BARGEIN_SHARED:-$(abspath ..)/shared} \
	    LD_PRELOAD=$$(cc -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0:exitcode=99 PYTHONMALLOC=malloc \
	    $$($(abspath $(BIN))/python -c "import sys; print(sys._base_executable)") -m pytest -q -p no:cacheprovider \
	    $(SANITIZED)

# Inputs that are found stay in build/fuzz/corpus and are the start of the next run; a finding is left in build/fuzz/<target>-*.
CLANG ?= clang
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 1
FUZZ_TARGETS := $(patsubst csrc/fuzz/fuzz_%.c,%,$(wildcard csrc/fuzz/fuzz_*.c))
fuzz: $(FUZZ_TARGETS:%=fuzz-%)

# One rule that is broken ends it, with the shortest behaviour that breaks it; see tests/server/machine.py.
FUZZ_EXAMPLES ?= 2000
fuzz-server: env
	BARGEIN_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/pytest -q --show-capture=no tests/server/test_invariants.py \
	    tests/server/web/test_fuzz_http.py tests/server/web/test_fuzz_events.py

fuzz-build: env
	@echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' | \
	    $(CLANG) -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2> /dev/null || \
	    { echo "make fuzz needs clang with libFuzzer and sanitizers (Debian 12: apt-get install clang libclang-rt-14-dev)"; exit 1; }
	$(BIN)/cmake -S . -B build/fuzz -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DCMAKE_C_COMPILER=$(CLANG) \
	    -DBARGEIN_FUZZ=ON -DBARGEIN_SANITIZE=address$(,)undefined$(,)float-cast-overflow > /dev/null
	$(BIN)/cmake --build build/fuzz -j $(JOBS)

$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: fuzz-build
	@mkdir -p build/fuzz/corpus/$*
	@echo "fuzz_$*: $(FUZZ_SECONDS) s, seed $(FUZZ_SEED), log in build/fuzz/$*.log"
	@build/fuzz/fuzz_$* -seed=$(FUZZ_SEED) -max_total_time=$(FUZZ_SECONDS) -max_len=600 -len_control=0 -timeout=20 \
	    -artifact_prefix=build/fuzz/$*- build/fuzz/corpus/$* csrc/fuzz/corpus/$* > build/fuzz/$*.log 2>&1 || \
	    { grep -v -e NEW -e REDUCE build/fuzz/$*.log; exit 1; }
	@grep DONE build/fuzz/$*.log

load: env
	$(BIN)/python bench/load.py $(if $(FRONT),--front $(FRONT))

SOAK_MINUTES ?= 60
soak: env
	$(BIN)/python bench/soak.py --minutes $(SOAK_MINUTES)

# The same through a real sound server, in real time.
SECONDS ?= 600
soak-device: env
	$(BIN)/python bench/soak_device.py --seconds $(SECONDS)

wheel: env
	$(BIN)/python -m build --outdir dist .

# Counts belong to one compiler and architecture: elsewhere one line says so. NEED_VALGRIND=1 fails where it is missing.
instructions:
	$(PYTHON) bench/instructions.py $(if $(RECORD),--record) $(if $(NEED_VALGRIND),--need-valgrind)

# The peers pin versions of their own, so they and a copy of ours live in an environment of the benchmarks.
bench:
	$(PYTHON) -m venv build/bench
	build/bench/bin/python -m pip install -q --upgrade pip
	build/bench/bin/python -m pip install -q -C build-dir=build/bench-core ".[bench]"
	-build/bench/bin/python -m pip install -q --no-deps pipecat-ai
	build/bench/bin/python bench/run.py $(if $(FULL),--full)

# Strict: a broken link, a page outside the navigation or a name that the reference cannot find fails.
docs: $(VENV)/docs-ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

$(VENV)/docs-ready: $(VENV)/tools
	$(BIN)/python -m pip install -q --no-build-isolation -e ".[docs]"
	touch $@

clean:
	rm -rf build dist out $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
