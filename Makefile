# blockattn. `make help` lists the targets. Nothing here needs more than make to be read: compiler and libraries are
# looked up when the first file is compiled, so that set-up may install them earlier in the same command.

BUILD  ?= build
CC     := $(if $(filter default,$(origin CC)),gcc,$(CC))
CFLAGS ?= -O3 -g
WERROR ?= -Werror
PREFIX ?= /usr/local

# What `pkg-config` knows about the libraries, asked once, at first use.
PKGS       := openblas hdf5 libcjson libxxhash libutf8proc oniguruma zlib lmdb hiredis libsodium libmicrohttpd
once        = $(eval $(1) := $(2))$($(1))
LIB_CFLAGS  = $(call once,LIB_CFLAGS,$(shell pkg-config --cflags $(PKGS) 2>/dev/null))
LIB_LIBS    = $(call once,LIB_LIBS,$(shell pkg-config --libs $(PKGS) 2>/dev/null))

# Sources are found, not listed: a new file in any folder is part of the build.
find       = $(sort $(shell find $(1) -name '$(2)'))

# CUDA is optional, and there only if asked for: `make CUDA=1` adds the backend cuda. It takes nvcc (toolkit 12 or
# later) from NVCC, from the path, or from the cache folder, where `make toolkit` puts one. One program holds code for
# Hopper and for CUDA_ARCH, the oldest of all other cards.
TOOLKIT    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/blockattn/cuda-13.0/nvidia/cu13
NVCC       ?= $(if $(CUDA),$(firstword $(shell command -v nvcc) $(wildcard $(TOOLKIT)/bin/nvcc) nvcc))
CUDA_ARCH  ?= sm_80
CUDA_HOME   = $(call once,CUDA_HOME,$(patsubst %/bin/,%,$(dir $(realpath $(shell command -v $(NVCC))))))
CUDA_SRC   := $(if $(CUDA),$(call find,kernels/cuda,*.c))
CUDA_OBJ   := $(if $(CUDA),$(patsubst %,$(BUILD)/%.o,$(call find,kernels/cuda,*.cu)))
CUDA_CFLAGS = $(if $(CUDA),-DBA_HAVE_CUDA -isystem $(CUDA_HOME)/include)
CUDA_LIBS   = $(if $(CUDA),-L$(CUDA_HOME)/lib64 -L$(CUDA_HOME)/lib -lcudart_static -lstdc++ -ldl -lrt)
CUDA_ANY    = -gencode arch=$(CUDA_ARCH:sm_%=compute_%),code=[$(CUDA_ARCH),$(CUDA_ARCH:sm_%=compute_%)]
CUDA_HOPPER = -gencode arch=compute_90a,code=sm_90a
NVCC_FLAGS  = -std=c++17 -I. -O3 --fmad=false -Werror all-warnings -Xcompiler -Wall,-Wextra,-fPIC

# No contraction: a product and a sum must round alike in every loop, whatever the compiler fuses. Nobody asks errno
# about a square root, and without that question compilers make vector code of it.
WARN       := -Wall -Wextra -Wpedantic -Wvla -Wshadow $(WERROR)
# One set of objects serves the programs and the shared library, which shows only what its header marks.
CFLAGS_ALL  = -std=c11 -D_GNU_SOURCE -iquote . -fPIC -fvisibility=hidden $(WARN) $(CFLAGS) -ffp-contract=off -fno-math-errno $(LIB_CFLAGS) $(CUDA_CFLAGS)
# Oniguruma has a regcomp of its own, with another syntax than POSIX: the C library's must be found first. libcsv has no
# file for pkg-config.
LIBS        = -lc $(LIB_LIBS) -lcsv $(CUDA_LIBS) -lm -lpthread -ldl

LIB_SRC   := $(filter-out kernels/cuda/%,$(call find,kernels sim,*.c)) $(CUDA_SRC)
API_SRC   := $(filter-out library/example.c,$(call find,library,*.c))
BENCH_SRC := $(call find,experiments/versus,*.c)
MPI_SRC   := experiments/mpi/module.c
EXP_SRC   := $(filter-out $(BENCH_SRC) $(MPI_SRC),$(call find,experiments,*.c))
TEST_SRC  := $(filter-out tests/fuzz/libfuzzer.c,$(call find,tests,*.c))
FUZZ_SRC  := $(filter-out tests/fuzz/suite.c,$(filter tests/fuzz/%,$(TEST_SRC)))
ALL_SRC   := $(LIB_SRC) $(API_SRC) $(EXP_SRC) $(BENCH_SRC) $(TEST_SRC) tests/fuzz/libfuzzer.c
ALL_HDR   := $(filter-out kernels/cuda/%,$(call find,kernels sim library experiments tests,*.h))
obj       = $(patsubst %.c,$(BUILD)/%.o,$(1))

# `make V=1` shows the compiler's command lines.
Q     := $(if $(V),,@)
SETUP := experiments/setup.sh
MAKEFLAGS += --no-print-directory
# All processors, unless the caller said -j.
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

## Build
# The manual page and the completions of shells are printed by the program, from its tables of commands and options.
PAGES := $(addprefix $(BUILD)/pages/,blockattn.1 blockattn.bash _blockattn)
SOVERSION := 0
LIBRARY := $(BUILD)/libblockattn.so.$(SOVERSION)
# The module of MPI jobs (experiments/mpi/README.md), where MPI's header is.
MPI_MODULE := $(if $(shell pkg-config --exists ompi-c 2>/dev/null && echo yes),$(BUILD)/blockattn-mpi.so)
all: $(BUILD)/blockattn $(LIBRARY) $(PAGES) $(MPI_MODULE) ## build build/blockattn and the shared library (default)

$(BUILD)/blockattn: $(call obj,$(LIB_SRC) $(EXP_SRC)) $(CUDA_OBJ)
	@echo "  link     $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LIBS)

# Of the simulator and the reading of data the library takes what its functions call, so nobody who links it needs HDF5.
$(BUILD)/parts.a: $(call obj,$(LIB_SRC) $(filter experiments/data/% experiments/measure/%,$(EXP_SRC))) $(CUDA_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(LIBRARY): $(call obj,$(API_SRC)) $(BUILD)/parts.a
	@echo "  link     $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -shared -Wl,-soname,$(@F) -Wl,--as-needed,--no-undefined -o $@ $^ $(LIBS)

$(BUILD)/blockattn-mpi.so: $(MPI_SRC) experiments/mpi/ranks_module.h $(BUILD)/flags
	@echo "  compile  $<"
	$(Q)$(CC) $(CFLAGS_ALL) $$(pkg-config --cflags ompi-c | sed 's/-I/-isystem /g') -shared -o $@ $< $$(pkg-config --libs ompi-c) -lpthread

$(BUILD)/pages/blockattn.1: experiments/cli/blockattn.1.in $(BUILD)/blockattn
	@mkdir -p $(@D)
	$(Q)$(BUILD)/blockattn help-pages man $< >$@
$(BUILD)/pages/blockattn.bash: $(BUILD)/blockattn
	@mkdir -p $(@D)
	$(Q)$< help-pages bash >$@
$(BUILD)/pages/_blockattn: $(BUILD)/blockattn
	@mkdir -p $(@D)
	$(Q)$< help-pages zsh >$@

# Functions that tests/support/faults.c replaces.
FAULTY := malloc calloc realloc aligned_alloc free strdup strndup fopen fopen64 fclose open open64 close write rename
comma  := ,
RACE_SRC := experiments/versus/race.c experiments/versus/process.c
$(BUILD)/blockattn-tests: $(call obj,$(LIB_SRC) $(API_SRC) $(filter-out experiments/main.c,$(EXP_SRC)) $(RACE_SRC) $(TEST_SRC)) $(CUDA_OBJ)
	@echo "  link     $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) $(addprefix -Wl$(comma)--wrap=,$(FAULTY)) -o $@ $^ -lcunit $(LIBS)

# Programs of experiments/versus: those of BENCH_OWN belong to programs of their own, the others are one program.
BENCH_OWN := $(patsubst %,experiments/versus/%.c,kernels device_kernels kernel_bench worker)
$(BUILD)/bench-kernels: $(call obj,$(filter kernels/%,$(LIB_SRC)) experiments/versus/kernels.c experiments/versus/kernel_bench.c)
$(BUILD)/bench-device: $(call obj,$(filter kernels/%,$(LIB_SRC)) experiments/versus/device_kernels.c experiments/versus/kernel_bench.c)
$(BUILD)/bench-worker: $(call obj,$(LIB_SRC) experiments/versus/worker.c)
$(BUILD)/bench: $(call obj,$(LIB_SRC) $(filter-out experiments/main.c,$(EXP_SRC)) $(filter-out $(BENCH_OWN),$(BENCH_SRC)))
$(BUILD)/bench $(BUILD)/bench-worker $(BUILD)/bench-kernels $(BUILD)/bench-device: $(CUDA_OBJ)
	@echo "  link     $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LIBS)

# Each instruction set is assumed only in files whose name ends with it, and chosen at run time.
AVX512 = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma
$(BUILD)/%_avx2.o: EXTRA = -mavx2 -mfma
$(BUILD)/%_avx512.o: EXTRA = $(AVX512)
$(BUILD)/%_avx512_bf16.o: EXTRA = $(AVX512) -mavx512bf16
$(BUILD)/%_amx.o: EXTRA = $(AVX512) -mavx512bf16 -mamx-tile -mamx-bf16

# The wording of prompts becomes part of the program, byte by byte.
$(BUILD)/experiments/data/prompts.o: experiments/data/prompts.json

# The commit is baked into the one file that reports it.
COMMIT = $(shell git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null || echo unknown)
$(BUILD)/experiments/cli/environment.o: EXTRA = -DBA_COMMIT='"$(COMMIT)"'
$(BUILD)/experiments/cli/environment.o: $(BUILD)/commit

$(BUILD)/%.o: %.c $(BUILD)/flags Makefile
	@mkdir -p $(@D)
	@echo "  compile  $<"
	$(Q)$(CC) $(CFLAGS_ALL) $(EXTRA) -MMD -MP -c -o $@ $<

$(BUILD)/%.cu.o: %.cu $(call find,kernels/cuda,*.h) $(call find,kernels/cuda,*.cuh) Makefile
	@mkdir -p $(@D)
	@echo "  compile  $<"
	$(Q)$(NVCC) $(NVCC_FLAGS) $(CUDA_HOPPER) $(if $(findstring /hopper/,$<),,$(CUDA_ANY)) -c -o $@ $<

# Files that are rewritten only when what they hold changes: other flags or another commit rebuild what they should.
keep = mkdir -p $(@D) && printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' > $@
$(BUILD)/flags: FORCE
	@command -v $(CC) >/dev/null && pkg-config --exists $(PKGS) || \
	    { echo "blockattn: a compiler or a library is missing; 'make setup' installs them" >&2; exit 1; }
	@$(call keep,$(CC) $(CFLAGS_ALL))
$(BUILD)/commit: FORCE
	@$(call keep,$(COMMIT))

-include $(patsubst %.c,$(BUILD)/%.d,$(ALL_SRC))

# What is installed, as SOURCE:PLACE below PREFIX. The data are what the program looks for by name: experiment files,
# hardware, tables of the report, rules of games, scripts of figures.
LIBDIR    ?= $(PREFIX)/lib
DATA      := $(wildcard experiments/configs/*.json experiments/game/*.rules.json)
PLOTS     := $(wildcard plots/*.sh plots/*.gp plots/*.awk)
INSTALLED  = $(BUILD)/blockattn:$(PREFIX)/bin/blockattn \
    $(BUILD)/pages/blockattn.1:$(PREFIX)/share/man/man1/blockattn.1 \
    $(BUILD)/pages/blockattn.bash:$(PREFIX)/share/bash-completion/completions/blockattn \
    $(BUILD)/pages/_blockattn:$(PREFIX)/share/zsh/site-functions/_blockattn \
    $(if $(MPI_MODULE),$(MPI_MODULE):$(PREFIX)/lib/$(notdir $(MPI_MODULE))) \
    $(LIBRARY):$(LIBDIR)/$(notdir $(LIBRARY)) library/blockattn.h:$(PREFIX)/include/blockattn.h \
    $(BUILD)/pages/blockattn.pc:$(LIBDIR)/pkgconfig/blockattn.pc \
    library/example.c:$(PREFIX)/share/doc/blockattn/example.c \
    experiments/python/blockattn.py:$(PREFIX)/share/blockattn/python/blockattn.py \
    $(foreach f,$(DATA),$(f):$(PREFIX)/share/blockattn/$(notdir $(f))) \
    $(foreach f,$(PLOTS),$(f):$(PREFIX)/share/blockattn/plots/$(notdir $(f)))
VERSION    = $(shell sed -n 's/^.define BLOCKATTN_VERSION "\(.*\)"/\1/p' library/blockattn.h)

install: all ## install program, library, header, pages, completions, data: PREFIX=/usr/local LIBDIR=PREFIX/lib DESTDIR=
	@mkdir -p "$(BUILD)/pages"
	@sed -e 's,@PREFIX@,$(PREFIX),' -e 's,@LIBDIR@,$(LIBDIR),' -e 's,@VERSION@,$(VERSION),' library/blockattn.pc.in \
	    >"$(BUILD)/pages/blockattn.pc"
	@for pair in $(INSTALLED); do \
	    if [ -x "$${pair%%:*}" ]; then mode=755; else mode=644; fi; \
	    install -Dm$$mode "$${pair%%:*}" "$(DESTDIR)$${pair#*:}" || exit; \
	done
	@ln -sf $(notdir $(LIBRARY)) "$(DESTDIR)$(LIBDIR)/libblockattn.so"
	@echo "installed below $(DESTDIR)$(PREFIX)"

uninstall: ## remove what `make install` with the same PREFIX, LIBDIR and DESTDIR put there
	@for pair in $(INSTALLED); do rm -f "$(DESTDIR)$${pair#*:}" || exit; done
	@rm -f "$(DESTDIR)$(LIBDIR)/libblockattn.so"
	@rmdir --ignore-fail-on-non-empty $(foreach d,share/blockattn/plots share/blockattn/python share/blockattn share/doc/blockattn,"$(DESTDIR)$(PREFIX)/$(d)") \
	    2>/dev/null || true

clean: ## remove everything that was built
	rm -rf $(BUILD)

# An existing trace is overwritten unless OPTIONS go on with it.
FORCE_OUT = $(if $(findstring --resume,$(OPTIONS)),,--force)

## Run
table3: ## from nothing to Table 3: set-up, model, build, measurement, figures in results/
	@$(SETUP) build plots model
	@$(MAKE) $(JOBS) all
	$(BUILD)/blockattn run experiments/configs/table3.json -- --force
	@$(MAKE) figures

table3-gpu: ## Table 3 at the paper's own scale, 8B with random weights, on a GPU (needs nvcc): results/table3-gpu.h5
	@$(SETUP) build plots
	@$(MAKE) $(JOBS) CUDA=1 BUILD=build/cuda build/cuda/blockattn
	build/cuda/blockattn run experiments/configs/table3-gpu.json -- --force
	@plots/draw.sh build/cuda/blockattn results/table3-gpu.h5 results/gpu

# GATE=experiments/configs/gate50.json is the long one; OPTIONS="--resume" goes on after an interruption.
GATE := experiments/configs/gate.json
gate: ## every mode against full attention: table, results/gate.h5, figures; DATA=items.jsonl[,...] OPTIONS=...
	@$(SETUP) build plots model
	@$(MAKE) $(JOBS) all
	$(BUILD)/blockattn run $(GATE) -- --out results/gate.h5 $(if $(DATA),--data $(DATA)) $(FORCE_OUT) $(OPTIONS)
	@plots/draw.sh $(BUILD)/blockattn results/gate.h5 results

figures: ## draw the figures of results/table3.h5
	@$(SETUP) plots
	@plots/draw.sh $(BUILD)/blockattn results/table3.h5 results

sweep: ## all modes x lengths x passage sizes: TTFT and distance from full, figures in results/; OPTIONS="--dtype bf16 --resume"
	@$(SETUP) build plots model
	@$(MAKE) $(JOBS) all
	$(BUILD)/blockattn run experiments/configs/sweep.json -- $(FORCE_OUT) $(OPTIONS)
	@plots/draw.sh -s sweep $(BUILD)/blockattn results/sweep.h5 results

# 26 modes on 50 items of 4 sets, for two models: many hours on two cores; goes on where it stopped. CURVE_ITEMS=5 is a look.
CURVE_MODELS := rag block-ft
CURVE_SETS   := nq 2wiki hotpotqa musique
CURVE_ITEMS  := 50
CURVE_DATA    = $(or $(BLOCKATTN_DATA),../shared/data)
comma := ,
commas = $(subst $(eval ) ,$(comma),$(strip $(1)))
curves: ## distance, agreement, NLL and accuracy against the charged budget, every budget of every mode; figures in results/
	@$(SETUP) build plots model
	@$(MAKE) $(JOBS) all
	@for m in $(CURVE_MODELS); do \
	    $(BUILD)/blockattn run experiments/configs/curves.json -- --adapter results/adapters/$$m --limit $(CURVE_ITEMS) \
	        --data $(call commas,$(foreach d,$(CURVE_SETS),$(wildcard $(CURVE_DATA)/rag/$d.eval.jsonl*))) \
	        --out results/curves-$$m.h5 $(OPTIONS) && \
	    $(BUILD)/blockattn run experiments/configs/curves-accuracy.json -- --adapter results/adapters/$$m --label curves-$$m \
	        --data $(CURVE_DATA) --task $(call commas,$(CURVE_SETS)) --limit $(CURVE_ITEMS) \
	        --out results/curves-accuracy-$$m.h5 $(OPTIONS) || exit; \
	done
	@$(MAKE) report
	@for m in $(CURVE_MODELS); do \
	    plots/draw.sh -s curves $(BUILD)/blockattn results/curves-$$m.h5 results/budgets.csv results && \
	    plots/budgets.sh $(BUILD)/blockattn results/curves-$$m.h5 results/budgets.csv curves-$$m || exit; \
	done

game: ## an agent gets a game's state frame by frame: TTFT, tokens encoded, size of blocks; figures in results/
	@$(SETUP) build plots model
	@$(MAKE) $(JOBS) all
	$(BUILD)/blockattn run experiments/configs/game_holdem.json -- --force
	$(BUILD)/blockattn run experiments/configs/game.json -- --force
	$(BUILD)/blockattn run experiments/configs/game_grain.json -- --force
	@plots/draw.sh $(BUILD)/blockattn results/game_holdem.h5 results
	@plots/draw.sh $(BUILD)/blockattn results/game.h5 results
	@plots/draw.sh -s grain $(BUILD)/blockattn results/game_grain.h5 results

replay: ## real questions in their order: which passages recur, what a store saves; figure in results/
	@$(SETUP) build plots model
	@$(MAKE) $(JOBS) all
	$(BUILD)/blockattn run experiments/configs/replay.json -- --force
	@plots/draw.sh $(BUILD)/blockattn results/replay.h5 results

requests: ## simulate 21 million passages in tiers: hit rates, TTFT, energy, money; figure in results/
	@$(SETUP) build plots
	@$(MAKE) $(JOBS) all
	$(BUILD)/blockattn run experiments/configs/requests_ram.json -- --force
	$(BUILD)/blockattn run experiments/configs/requests_zipf.json -- --force
	$(BUILD)/blockattn run experiments/configs/requests_corpus.json -- --force
	@plots/draw.sh $(BUILD)/blockattn results/requests_ram.h5 results/requests_zipf.h5 results

tune: ## LoRA adapters of Table 1, rag and block-ft (many hours on a CPU): goes on where it stopped; figures in results/
	@$(SETUP) build plots model
	@$(MAKE) $(JOBS) all
	@mkdir -p results/adapters
	@for m in rag block-ft; do \
	    $(BUILD)/blockattn run experiments/configs/tune-$$m.json || exit; \
	    plots/draw.sh $(BUILD)/blockattn results/tune-$$m.h5 results || exit; \
	done

# Rows of the tables on accuracy: one file each, resumable on its own; a model that is not tuned yet is passed over.
MODELS := base rag block-ft
rows = for m in $(MODELS); do \
    if [ $$m = base ] || [ -f results/adapters/$$m/adapter_model.safetensors ]; then \
        $(BUILD)/blockattn run experiments/configs/$(1)-$$m.json || exit; \
    else \
        echo "$(1): no results/adapters/$$m yet; its rows stay empty" >&2; \
    fi; \
done

table1: ## accuracy and NLL on RAG sets, all modes and models (Table 1); goes on where it stopped
	@$(SETUP) build model
	@$(MAKE) $(JOBS) all
	@$(call rows,table1)
	@$(MAKE) report

table2: ## general tasks and demonstrations as blocks (Table 2); goes on where it stopped
	@$(SETUP) build model
	@$(MAKE) $(JOBS) all
	@mkdir -p results/outputs
	@$(call rows,table2)
	@$(MAKE) report

figure4: ## both modes against the training step, from the checkpoints results/adapters/NAME@STEP
	@$(SETUP) build model
	@$(MAKE) $(JOBS) all
	@for c in results/adapters/*@*; do \
	    [ -d "$$c" ] || { echo "figure4: no checkpoints results/adapters/NAME@STEP yet" >&2; exit 1; }; \
	    $(BUILD)/blockattn run experiments/configs/figure4.json -- --adapter "$$c" --label "$${c##*/}" \
	        --out "results/figure4-$${c##*/}.h5" || exit; \
	done
	@$(MAKE) report

accuracy: table1 table2 figure4 ## all of Table 1, Table 2 and Figure 4

adapter-nq: ## the adapter that is shipped, on 100 items of Natural Questions in both modes; goes on where it stopped
	@$(SETUP) build model
	@$(MAKE) $(JOBS) all
	$(BUILD)/blockattn run adapter-nq

modes2026: ## Table 1's items in the modes of 2026, with both adapters of results/adapters (many hours on a CPU)
	@$(SETUP) build model
	@$(MAKE) $(JOBS) all
	@$(call rows,modes2026)
	@$(MAKE) report

# Traces of your own runs come before those that were committed, which are merged, a file a table.
TABLES := table1 modes2026 curves-accuracy table2 figure4 tune
report: ## results/REPORT.md, its pages and figures from the traces in results/ and results/traces/
	@$(SETUP) plots
	$(BUILD)/blockattn report $(wildcard $(foreach t,$(TABLES),results/$(t)-*.h5)) \
	    $(wildcard $(foreach t,$(TABLES),results/traces/$(t).h5.gz)) $(if $(wildcard results/scores.jsonl),--scores results/scores.jsonl)
	@plots/draw.sh -s report $(BUILD)/blockattn results/pareto.csv results/figure4.csv results/figures

# A run of results/ that results/traces/ has already is refused by its name: decide which of the two to keep.
traces: ## merge the traces of your runs into results/traces/, to be committed: a file for each kind of run
	@for t in $(TABLES); do \
	    set -- results/$$t-*.h5; [ -f "$$1" ] || continue; \
	    if [ -f results/traces/$$t.h5.gz ]; then set -- results/traces/$$t.h5.gz "$$@"; fi; \
	    mkdir -p results/traces && $(BUILD)/blockattn merge --force results/traces/$$t.h5 "$$@" && \
	        gzip -9nf results/traces/$$t.h5 || exit; \
	done

eval-synthetic: ## all modes on generated tasks, without any data, in minutes
	@$(SETUP) build model
	@$(MAKE) $(JOBS) all
	$(BUILD)/blockattn run experiments/configs/synthetic.json -- --force

BENCH_PROGRAMS = $(BUILD)/blockattn $(BUILD)/bench $(BUILD)/bench-worker $(BUILD)/bench-kernels
bench: ## ours, transformers and llama.cpp in turns: table, results/bench.h5, figures; QUICK=1, RESUME=1, BENCH_PYTHON=
	@$(SETUP) build plots peers model
	@$(if $(QUICK),,$(SETUP) gemma || echo "the second model will be left out")
	@$(MAKE) $(JOBS) $(BENCH_PROGRAMS)
	@experiments/versus/run.sh $(BUILD) results $(if $(QUICK),--quick) $(if $(RESUME),--resume) $(if $(ONLY),--only $(ONLY))

bench-compare: ## did it get slower than BASE=commit? both built and run in turns; HEAD=commit, else the working tree
	@[ -n "$(BASE)" ] || { echo "make bench-compare BASE=commit" >&2; exit 2; }
	@$(SETUP) build model
	@$(MAKE) $(JOBS) $(BUILD)/bench $(BUILD)/bench-worker
	@experiments/versus/compare.sh $(BUILD) results $(BASE) $(HEAD) -- $(if $(ROUNDS),--rounds $(ROUNDS))

setup: ## install what is missing from Debian's packages
	@$(SETUP) build plots

model: ## get the default model into the cache folder
	@$(SETUP) model

gemma: ## get the second real model, Gemma 3 270M (253 MB), beside it
	@$(SETUP) gemma

qwen-small: ## get Qwen2.5-Coder-0.5B-Instruct (491 MB): --model qwen2.5-0.5b
	@$(SETUP) qwen-small

qwen: ## get Qwen2.5-Coder-1.5B-Instruct (1.1 GB): --model qwen2.5-1.5b
	@$(SETUP) qwen

# Python with torch and transformers for the card: BENCH_PYTHON. What these write is committed as results/gpu/h200-*.csv.
GPU_PYTHON = $(or $(BENCH_PYTHON),python3)
GPU_PROGRAMS = $(addprefix build/cuda/,blockattn bench bench-worker bench-device)
bench-gpu: ## at 8B on a GPU: ours and PyTorch in turns, and our kernels under the card's roofs: results/gpu-*.csv, figures
	@$(SETUP) build plots
	@$(MAKE) $(JOBS) CUDA=1 BUILD=build/cuda $(GPU_PROGRAMS)
	build/cuda/bench versus --shape llama-3.1-8b --python $(GPU_PYTHON) --out results/bench-gpu.h5 --force
	build/cuda/blockattn export results/bench-gpu.h5 results --csv >results/gpu-results.csv
	build/cuda/bench-device cuda kernels >results/gpu-kernels.csv
	build/cuda/bench-device cuda machine >results/gpu-machine.csv
	@plots/draw.sh -s bench build/cuda/blockattn results/gpu-results.csv results/gpu-kernels.csv results/gpu-machine.csv results

reload-gpu: ## at 8B on a GPU: what KV on the card, in memory and on disk (STORE=folder) saves: results/reload.csv, figure
	@$(SETUP) build plots
	@$(MAKE) $(JOBS) CUDA=1 BUILD=build/cuda build/cuda/blockattn
	build/cuda/blockattn reload --shape llama-3.1-8b --backend cuda --store gpu:40G,ram:40G$(if $(STORE),$(comma)lmdb:$(STORE):100G) \
	    --length 2K,8K,32K --csv >results/reload.csv
	@plots/draw.sh -s reload build/cuda/blockattn results/reload.csv results

logits-gpu: ## at 8B on a GPU: logits in bf16 against transformers in fp32, ours and theirs: results/logits-gpu.csv
	@$(MAKE) $(JOBS) CUDA=1 BUILD=build/cuda build/cuda/blockattn
	$(GPU_PYTHON) experiments/peers/gpu_logits.py build/cuda/blockattn results/logits-gpu.csv

sanitize-gpu: ## the kernels' tests under compute-sanitizer's memcheck and racecheck, on a machine with a GPU
	@command -v compute-sanitizer >/dev/null || \
	    { echo "blockattn: compute-sanitizer is not in PATH; it comes with the CUDA toolkit" >&2; exit 1; }
	@$(MAKE) $(JOBS) CUDA=1 BUILD=build/cuda build/cuda/blockattn build/cuda/blockattn-tests
	compute-sanitizer --tool memcheck --error-exitcode 1 build/cuda/blockattn-tests kernels: attention:
	compute-sanitizer --tool racecheck --error-exitcode 1 build/cuda/blockattn-tests attention:

toolkit: ## get a CUDA toolkit into the cache folder, for a machine without one (271 MB)
	@$(SETUP) cuda

## Check
test: ## set up, build, run all tests; ONLY="plan cli" selects by name
	@$(SETUP) build
	@$(SETUP) model || echo "the tests of the real model will be skipped"
	@$(MAKE) $(JOBS) check

check: all $(BUILD)/blockattn-tests ## run the tests without set-up
	@tests/check_layers.sh
	@tests/check_calls.sh $(BUILD)
	@$(BUILD)/blockattn-tests $(ONLY)

# Generated inputs against the Python libraries that define what is right; a script without its libraries says so.
PYTHON ?= python3
differential: $(BUILD)/blockattn ## generated configurations, adapters, templates, tokenizers against the Python libraries
	@status=0; for script in $$(grep -l __main__ tests/differential/*.py | grep -v golden); do \
	    BLOCKATTN=$(abspath $(BUILD))/blockattn $(PYTHON) $$script || status=1; done; exit $$status

golden: ## every mode against the oracle's logits, and its properties: a table
	@$(MAKE) test ONLY=golden:

# How far the analyzer of clang-tidy goes into a function: at its own default, 225000, it takes three times as long.
NODES ?= 50000
lint: ## formatting, clang-tidy, and warnings of gcc and clang as errors
	@$(SETUP) build lint
	clang-format --dry-run -Werror $(ALL_SRC) $(ALL_HDR)
	printf '%s\n' $(ALL_SRC) | xargs -P $(shell nproc) -n 4 sh -c 'exec clang-tidy --quiet \
	    "$$@" -- $(filter-out $(WARN),$(CFLAGS_ALL)) -Xclang -analyzer-config -Xclang max-nodes=$(NODES)' tidy
	@$(MAKE) $(JOBS) $(BUILD)/blockattn $(BUILD)/blockattn-tests WERROR=-Werror
	@$(MAKE) $(JOBS) $(BUILD)/clang/blockattn $(BUILD)/clang/blockattn-tests BUILD=$(BUILD)/clang CC=clang WERROR=-Werror \
	    CFLAGS=-O0

SANITIZE := -fno-omit-frame-pointer -fno-sanitize-recover=all
asan: ## the tests under the address and undefined-behaviour sanitizers
	@$(SETUP) build
	@LSAN_OPTIONS=suppressions=$(CURDIR)/tests/support/lsan.supp:print_suppressions=0 \
	    $(MAKE) $(JOBS) check BUILD=$(BUILD)/asan CFLAGS="-O2 -g -fsanitize=address,undefined $(SANITIZE)"

$(BUILD)/blockattn-fuzz: $(call obj,$(LIB_SRC) $(filter-out experiments/main.c,$(EXP_SRC)) $(wildcard tests/support/tiny*.c) \
                           $(FUZZ_SRC) tests/fuzz/libfuzzer.c) $(CUDA_OBJ)
	@echo "  link     $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

cuda-compiles: ## whether the program builds with CUDA, by the toolkit of the cache folder; needs no card
	@$(SETUP) build cuda
	@$(MAKE) $(JOBS) CUDA=1 NVCC=$(TOOLKIT)/bin/nvcc BUILD=$(BUILD)/toolkit $(BUILD)/toolkit/blockattn
	@$(BUILD)/toolkit/blockattn --version

emulated: ## the kernels on a processor with AVX2 and nothing newer, by QEMU (some minutes)
	@$(SETUP) build emulator
	@$(MAKE) $(JOBS) $(BUILD)/blockattn $(BUILD)/blockattn-tests
	@qemu-x86_64 -cpu Haswell-noTSX,-tsc-deadline,-invpcid,-pcid,-x2apic \
	    $(BUILD)/blockattn-tests attention: "kernels: row" "kernels: keys"

TOKENS := 2048
error-budget: ## bf16 against fp32 and plain bf16 on real prompts of 50 to TOKENS=2048 tokens in every mode (8192: hours)
	@$(SETUP) build
	@$(SETUP) model
	@BLOCKATTN_BUDGET=$(TOKENS) $(MAKE) $(JOBS) check ONLY="bf16:"

SECONDS := 30
fuzz: ## feed everything that reads files what strangers may send: SECONDS=30 a reader
	@$(SETUP) build fuzz
	@$(MAKE) $(JOBS) $(BUILD)/fuzz/blockattn-fuzz BUILD=$(BUILD)/fuzz CC=clang \
	    CFLAGS="-O1 -g -fsanitize=fuzzer-no-link,address,undefined $(SANITIZE)"
	@tests/fuzz/run.sh $(BUILD)/fuzz/blockattn-fuzz $(BUILD)/fuzz $(SECONDS)

KILLS := 200
store-torture: ## kill -9 a process that writes to a store, KILLS=200 times at random moments, and look what is left
	@$(SETUP) build
	@$(MAKE) $(JOBS) $(BUILD)/blockattn $(BUILD)/blockattn-tests
	@BLOCKATTN_KILLS=$(KILLS) $(BUILD)/blockattn-tests "tiers: killed"

# What shares memory between threads: the pool, attention cut up for it, whole runs on 1, 2, 4 and 8 threads, what is written
# later. The other tests of kernels run one thread, and take an hour under this sanitizer.
RACY := "kernels: pool" "attention: any thread count" "engine: the number of threads" "engine: cached equals" \
        "engine: a run can be stopped" "train_kernels: every backend" "tune: a resumed" packed: store: tiers: device_store: redis: gate: game:
tsan: ## the tests that use threads, under the thread sanitizer
	@$(SETUP) build
	@$(MAKE) $(JOBS) check BUILD=$(BUILD)/tsan CFLAGS="-O2 -g -fsanitize=thread $(SANITIZE)" ONLY='$(RACY)'

help: ## show this list
	@awk '/^## /{printf "\n%s\n", substr($$0, 4)} \
	    /^[a-z0-9-]+:.*## /{split($$0, part, ":"); sub(/.*## /, ""); printf "  make %-14s %s\n", part[1], $$0}' Makefile

FORCE:
.PHONY: sanitize-gpu bench-gpu reload-gpu logits-gpu toolkit cuda-compiles differential table3-gpu all install uninstall clean table1 table2 figure4 accuracy report traces eval-synthetic table3 gate figures sweep game replay requests curves modes2026 adapter-nq tune bench bench-compare setup model gemma qwen-small qwen test check golden lint asan emulated error-budget fuzz store-torture tsan help FORCE
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
