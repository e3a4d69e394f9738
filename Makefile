# blockattn: `make help` lists what there is.
BUILD ?= build
CC ?= gcc
CFLAGS ?= -O3 -g
WARN := -Wall -Wextra -Wpedantic -Wvla -Wshadow -Werror
STD := -std=c11 -D_GNU_SOURCE
LIBS := -lopenblas -lhdf5 -lcjson -lxxhash -lutf8proc -lm -lpthread
HDF5_CFLAGS := $(shell pkg-config --cflags hdf5 2>/dev/null)
CFLAGS_ALL = $(STD) $(WARN) $(CFLAGS) $(HDF5_CFLAGS) -ffp-contract=off

LIB_SRC := $(wildcard kernels/*.c sim/*.c)
EXP_SRC := $(wildcard experiments/*.c)
TEST_SRC := $(wildcard tests/*.c)
obj = $(patsubst %.c,$(BUILD)/%.o,$(1))

all: $(BUILD)/blockattn

$(BUILD)/blockattn: $(call obj,$(LIB_SRC) $(EXP_SRC))
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/blockattn-tests: $(call obj,$(LIB_SRC) $(filter-out experiments/main.c,$(EXP_SRC)) $(TEST_SRC))
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $^ -lcunit $(LIBS)

# Each instruction set is assumed in its own file only, and chosen at run time.
$(BUILD)/kernels/attention_avx2.o: CFLAGS_ALL += -mavx2 -mfma
$(BUILD)/kernels/attention_avx512.o: CFLAGS_ALL += -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

-include $(wildcard $(BUILD)/*/*.d)

clean:
	rm -rf $(BUILD)

.PHONY: all clean
