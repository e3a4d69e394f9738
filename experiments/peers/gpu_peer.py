"""Times on a GPU of the work that `ttft --shape llama-3.1-8b` does, by PyTorch: random bf16 weights, ids, KV on the card.

    gpu_peer.py OUT.csv [LENGTH...]

full      transformers with SDPA: one causal prefill
released  the public Block-Attention code's way: caches of 128 tokens are concatenated, every key is rotated in fp32, and the
          question of 50 tokens is prefilled over them
ready     the same over a cache that is merged already
graph     the question as one CUDA graph of torch operations, without rotations and without a mask: less work than ours
product   one matrix product by cuBLAS, of the model's sizes; `length` is its rows
attention causal attention by cuDNN and by FlashAttention; attention-50: of 50 rows over `length` keys

Rows: method, length, n, median and MAD in seconds, and the rate of products and attention in FLOP/s. Weights take turns in
products, so that they come from memory. Whole answers by the clock, device synchronised before and after; kernels by events.
"""
import csv
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

HIDDEN, HEADS, KV_HEADS, DIM, FF, VOCAB, LAYERS = 4096, 32, 8, 128, 14336, 128256, 32
BLOCK, QUESTION = 128, 50
PRODUCTS = {"qkv": (HIDDEN, 6144), "o": (HIDDEN, HIDDEN), "gate_up": (HIDDEN, 2 * FF), "down": (FF, HIDDEN), "head": (HIDDEN, VOCAB)}
DEVICE, BF16 = "cuda", torch.bfloat16
rows = []


def random(*shape):
    return torch.randn(*shape, device=DEVICE, dtype=BF16)


def by_clock(work, given):
    torch.cuda.synchronize()
    start = time.perf_counter()
    work(given)
    torch.cuda.synchronize()
    return time.perf_counter() - start


def by_events(work, given):
    begin, end = torch.cuda.Event(True), torch.cuda.Event(True)
    begin.record()
    work(given)
    end.record()
    end.synchronize()
    return 1e-3 * begin.elapsed_time(end)


def measure(method, length, work, prepare=lambda: None, flops=0, n=5, warm=2):
    """With flops it is a kernel, timed by the events of the device; else the whole answer, by the clock."""
    timed = by_events if flops else by_clock
    times = [timed(work, prepare()) for _ in range(n + warm)][warm:]
    median = statistics.median(times)
    mad = statistics.median(abs(t - median) for t in times)
    rows.append([method, length, n, f"{median:.6g}", f"{mad:.3g}", f"{flops / median:.4g}" if flops else ""])
    print(*rows[-1], flush=True)


def rotate(keys, places, inverse):
    angle = torch.outer(places.float(), inverse)
    cosine, sine = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
    keys = keys.float()
    half = torch.cat([-keys[..., DIM // 2 :], keys[..., : DIM // 2]], -1)
    return (keys * cosine + half * sine).to(BF16)


INVERSE = 1.0 / (500000.0 ** (torch.arange(0, DIM, 2).float() / DIM))


def llama():
    """The model with random weights, in bf16 on the card."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=FF, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                         num_key_value_heads=KV_HEADS, max_position_embeddings=131072, rope_theta=500000.0)
    with torch.device(DEVICE):
        torch.set_default_dtype(BF16)
        model = LlamaForCausalLM._from_config(config, attn_implementation="sdpa").eval()
        torch.set_default_dtype(torch.float32)
    return model


def block_caches(tokens, block):
    """Keys (not rotated) and values of the blocks of so many tokens, layer by layer."""
    cuts = [min(block, tokens - at) for at in range(0, tokens, block)]
    return [[(random(1, KV_HEADS, n, DIM), random(1, KV_HEADS, n, DIM)) for n in cuts] for _ in range(LAYERS)]


def merged(layers):
    """Keys and values of all layers, concatenated, keys rotated to their places."""
    places = torch.arange(sum(k.shape[2] for k, _ in layers[0]), device=DEVICE)
    inverse = INVERSE.to(DEVICE)
    return ([rotate(torch.cat([k for k, _ in blocks], 2), places, inverse) for blocks in layers],
            [torch.cat([v for _, v in blocks], 2) for blocks in layers])


def cache_of(keys, values):
    from transformers.cache_utils import DynamicCache

    cache = DynamicCache()
    for layer in range(LAYERS):
        cache.update(keys[layer], values[layer], layer)
    return cache


def transformers_rows(lengths):
    model = llama()
    for length in lengths:
        ids = torch.randint(0, VOCAB, (1, length), device=DEVICE)
        question = ids[:, -QUESTION:]
        measure("full", length, lambda _: model(ids, use_cache=True, logits_to_keep=1), n=3 if length > 16384 else 5)
        before = length - QUESTION
        if before <= 0:
            continue
        layers = block_caches(before, BLOCK)

        def prefill(cache):
            model(question, past_key_values=cache, use_cache=True, logits_to_keep=1)

        measure("released", length, lambda _: prefill(cache_of(*merged(layers))))
        kept = merged(layers)
        measure("ready", length, prefill, prepare=lambda: cache_of(*kept))
        del layers, kept
        torch.cuda.empty_cache()


def question_graph(rows_at_once, before):
    """One CUDA graph of torch operations: rows over `before` keys, without rotations and without a mask; and its token."""
    weights = [{name: random(n, k) * 0.02 for name, (k, n) in PRODUCTS.items() if name != "head"} for _ in range(LAYERS)]
    head, gain = random(VOCAB, HIDDEN) * 0.02, torch.ones(HIDDEN, device=DEVICE, dtype=BF16)
    start = random(rows_at_once, HIDDEN)
    kv = [(random(1, KV_HEADS, before + rows_at_once, DIM), random(1, KV_HEADS, before + rows_at_once, DIM)) for _ in range(LAYERS)]
    out = []

    def forward():
        x = start
        for w, (k, v) in zip(weights, kv):
            qkv = F.linear(F.rms_norm(x, (HIDDEN,), gain), w["qkv"])
            split = [part.view(1, rows_at_once, -1, DIM).transpose(1, 2) for part in qkv.split([HIDDEN, 1024, 1024], -1)]
            k[:, :, before:] = split[1]
            v[:, :, before:] = split[2]
            with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                seen = F.scaled_dot_product_attention(split[0], k, v, enable_gqa=True)
            x = x + F.linear(seen.transpose(1, 2).reshape(rows_at_once, HIDDEN), w["o"])
            gate, up = F.linear(F.rms_norm(x, (HIDDEN,), gain), w["gate_up"]).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, w["down"])
        return F.linear(F.rms_norm(x[-1:], (HIDDEN,), gain), head).argmax(-1)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        forward()
        forward()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out.append(forward())
    graph.kept = (weights, head, gain, start, kv)  # the graph reads them
    return graph, out[0]


def graph_rows(lengths):
    for rows_at_once, length in [(QUESTION, n) for n in lengths] + [(1, n) for n in lengths if n > QUESTION]:
        graph, _ = question_graph(rows_at_once, max(length - QUESTION, 0))
        measure("graph" if rows_at_once > 1 else "graph-decode", length, lambda _: graph.replay(), n=10)
        del graph
        torch.cuda.empty_cache()


def kernel_rows(lengths):
    for count in (1, QUESTION, 2048, 8192):
        for name, (k, n) in PRODUCTS.items():
            if name == "head" and count > 64:
                continue
            turns = [random(n, k) * 0.02 for _ in range(4 if n < 100000 else 2)]
            x, at = random(count, k), [0]

            def work(_):
                at[0] = (at[0] + 1) % len(turns)
                F.linear(x, turns[at[0]])

            measure(f"product {name}", count, work, flops=2 * count * n * k, n=15, warm=4)
            del turns
    for length in [n for n in lengths if n > QUESTION]:
        q, k, v = random(1, HEADS, length, DIM), random(1, KV_HEADS, length, DIM), random(1, KV_HEADS, length, DIM)
        for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
            with sdpa_kernel(backend):
                measure(f"attention {name}", length, lambda _: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
                        flops=2 * HEADS * DIM * length * length)
                few = q[:, :, :QUESTION].contiguous()
                measure(f"attention-50 {name}", length, lambda _: F.scaled_dot_product_attention(few, k, v, enable_gqa=True),
                        flops=4 * HEADS * DIM * QUESTION * length, n=15)


def main():
    lengths = [int(n) for n in sys.argv[2:]] or [50, 2048, 8192, 32768]
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    with torch.no_grad():
        for part in (transformers_rows, graph_rows, kernel_rows):
            part(lengths)
            torch.cuda.empty_cache()
    with open(sys.argv[1], "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(["method", "length", "n", "median_s", "mad_s", "flops_per_s"])
        out.writerows(rows)


if __name__ == "__main__":
    main()
