"""How far logits at 8B are from fp32: ours in bf16, and those of transformers in bf16, all with the same random weights.

    gpu_logits.py BLOCKATTN OUT.csv

The weights are those of `--shape llama-3.1-8b`: transformers gets them by the formula of kernels/base/random_weight.h, so no
16 GB of files are written. Prompts of 2K and 6K ids in passages, in modes full and block; the reference is transformers in
fp32 (SDPA, with the mask of the mode). Rows: length, mode, who, rms and largest error over the 64 highest logits of the
reference and over all, whether the highest is the same, the standard deviation of the reference's logits, and seconds from
the start of our program to its end. Exit status 1 if the rms error of ours is larger than that of transformers in bf16.
"""
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SHAPE, SEED, LAYERS, THETA = "llama-3.1-8b", 0, 32, 500000.0
PROMPTS = {"2K": [64] + [128] * 15 + [50], "6K": [100] + [500] * 12 + [60]}
# Places of the tensors of a layer, and how many there are: enum ba_tensor of sim/model/model.h.
FIRST_OF_LAYER, PER_LAYER = 3, 13
IN_LAYER = {"self_attn.q_proj": 1, "self_attn.k_proj": 2, "self_attn.v_proj": 3, "self_attn.o_proj": 4, "mlp.gate_proj": 9,
            "mlp.up_proj": 10, "mlp.down_proj": 11}
MASK64 = 2**64 - 1


def signed(x):
    return (x & MASK64) - (2**64 if x & 2**63 else 0)


def shifted(z, n):
    """A shift to the right that brings in zeros; torch has signed integers only."""
    return (z >> n) & (2 ** (64 - n) - 1)


def mix(z):
    z = (z ^ shifted(z, 30)) * signed(0xBF58476D1CE4E5B9)
    z = (z ^ shifted(z, 27)) * signed(0x94D049BB133111EB)
    return z ^ shifted(z, 31)


def mix_number(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
    return z ^ (z >> 31)


def fill(weight, slot):
    rows, cols = weight.shape
    seed = signed(mix_number(mix_number(SEED) ^ slot))
    scale = torch.tensor(3 / cols, dtype=torch.float32).sqrt().item()
    step = max(1, 2**25 // cols)
    for at in range(0, rows, step):
        n = min(step, rows - at)
        i = torch.arange(at * cols + 1, (at + n) * cols + 1, device=weight.device)
        number = shifted(mix(i * signed(0x9E3779B97F4A7C15) + seed), 40) * 2 + 1 - 2**24
        weight[at:at + n] = (number.float() * 2.0**-24 * scale).to(weight.dtype).view(n, cols)


def model_in_bf16():
    rope = dict(rope_type="llama3", rope_theta=THETA, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=8192)
    config = LlamaConfig(vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=LAYERS,
                         num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=131072, rms_norm_eps=1e-5,
                         rope_parameters=rope, tie_word_embeddings=False)
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = LlamaForCausalLM._from_config(config, attn_implementation="sdpa").eval()
        torch.set_default_dtype(torch.float32)
    fill(model.model.embed_tokens.weight, 0)
    fill(model.lm_head.weight, 1)
    for number, layer in enumerate(model.model.layers):
        for name, place in IN_LAYER.items():
            fill(layer.get_submodule(name).weight, FIRST_OF_LAYER + number * PER_LAYER + place)
    return model


def set_frequencies(model):
    """In fp32, by the definition: the buffer was made while bf16 was the default."""
    freq = 1.0 / (THETA ** (torch.arange(0, 128, 2, device="cuda", dtype=torch.float64) / 128))
    wave = 2 * math.pi / freq
    smooth = ((8192 / wave - 1.0) / (4.0 - 1.0)).clamp(0, 1)
    freq = (1 - smooth) * freq / 8.0 + smooth * freq
    model.model.rotary_emb.inv_freq = freq.float()


def logits_of(model, segments, mode):
    ids = torch.tensor([sum(segments, [])], device="cuda")
    n = ids.shape[1]
    seen = torch.ones(n, n, dtype=torch.bool, device="cuda").tril()
    if mode == "block":
        place = torch.tensor(sum([[i] * len(s) for i, s in enumerate(segments)], []), device="cuda")
        seen &= (place[:, None] == place[None]) | (place[:, None] == len(segments) - 1)
    mask = torch.zeros(1, 1, n, n, dtype=model.dtype, device="cuda").masked_fill(~seen, torch.finfo(model.dtype).min)
    return model(ids, attention_mask=mask, logits_to_keep=1).logits[0, -1].double().cpu()


def ours(program, folder, segments, mode):
    path = os.path.join(folder, "request.json")
    with open(path, "w") as f:
        json.dump({"ids": segments}, f)
    start = time.perf_counter()
    done = subprocess.run([program, "logits", "--shape", SHAPE, "--seed", str(SEED), "--backend", "cuda", "--request", path, "--mode", mode,
                           "--top", "128256", "--csv"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    out = torch.empty(128256, dtype=torch.float64)
    for line in done.stdout.splitlines()[1:]:
        i, value = line.split(",")
        out[int(i)] = float(value)
    return out, time.perf_counter() - start


def main():
    program, path = sys.argv[1:]
    torch.manual_seed(7)
    torch.set_grad_enabled(False)
    cases = {(name, mode): [torch.randint(0, 127000, (n,)).tolist() for n in sizes] for name, sizes in PROMPTS.items()
             for mode in ("full", "block")}
    model = model_in_bf16()
    set_frequencies(model)
    theirs = {case: logits_of(model, segments, case[1]) for case, segments in cases.items()}
    model = model.float()
    set_frequencies(model)
    rows, worse = [], False
    with tempfile.TemporaryDirectory() as folder:
        for case, segments in cases.items():
            exact = logits_of(model, segments, case[1])
            top, own = exact.topk(64).indices, ours(program, folder, segments, case[1])
            rms = {}
            for who, logits, seconds in (("ours", *own), ("transformers", theirs[case], "")):
                error = logits - exact
                rms[who] = error[top].pow(2).mean().sqrt().item()
                rows.append([*case, who, f"{rms[who]:.5g}", f"{error[top].abs().max().item():.5g}", f"{error.pow(2).mean().sqrt().item():.5g}",
                             f"{error.abs().max().item():.5g}", int(logits.argmax() == exact.argmax()), f"{exact.std().item():.5g}",
                             seconds and f"{seconds:.3f}"])
                print(*rows[-1], flush=True)
            worse |= not rms["ours"] <= rms["transformers"]
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow("length,mode,who,rms_top64,max_top64,rms,max,same_highest,logits_std,seconds".split(","))
        out.writerows(rows)
    return worse


if __name__ == "__main__":
    sys.exit(main())
