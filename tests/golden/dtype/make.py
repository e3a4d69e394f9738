#!/usr/bin/env python3
"""Golden vectors of the weight formats: random blocks and what the Python package `gguf` decodes them to.

Writes dtype.txt beside this script; needs `pip install gguf numpy`. Two blocks a type: "NAME hex-of-block" on one line,
the decoded values as hexadecimal fp32 bit patterns on the next.
"""
import pathlib

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

# Bytes at which a block keeps its fp16 scales: those must be finite.
HALVES = {
    "F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0],
}

rng = np.random.default_rng(20240915)
lines = []
for name in ["F32", "F16", "BF16"] + [n for n in HALVES if n != "F16"]:
    kind = T[name]
    _, size = GGML_QUANT_SIZES[kind]
    for _ in range(2):
        block = rng.integers(0, 256, size, dtype=np.uint8)
        if name == "F32":
            block[:] = np.frombuffer(np.float32(rng.normal()).tobytes(), np.uint8)
        if name == "BF16":
            block[1] &= 0xBF
        for at in HALVES.get(name, []):
            block[at : at + 2] = np.frombuffer(np.float16(rng.normal()).tobytes(), np.uint8)
        values = dequantize(block.reshape(1, -1), kind).astype(np.float32).ravel()
        lines.append(f"{name} {block.tobytes().hex()}")
        lines.append(" ".join(f"{v:08x}" for v in values.view(np.uint32)))
pathlib.Path(__file__).with_name("dtype.txt").write_text("\n".join(lines) + "\n")
