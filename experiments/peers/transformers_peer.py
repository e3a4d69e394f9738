"""Time to first token of PyTorch and transformers, with their own attention (sdpa).

full      the whole prompt; logits of the last position only
released  the way of the paper's released code: stored caches of the blocks, keys without position, are concatenated,
          keys are rotated in fp32 to their places, and the question is prefilled over the DynamicCache
ready     the question alone, over a cache that is merged and rotated already

Raw samples as JSON lines on stdout. Encoding and storing the blocks is not timed.
"""
import os
import time

import workload


def load(a):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(a.threads)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[a.dtype]
    if os.path.isdir(a.model):
        model = AutoModelForCausalLM.from_pretrained(a.model, dtype=dtype, attn_implementation="sdpa")
    else:
        model = AutoModelForCausalLM.from_pretrained(os.path.dirname(os.path.abspath(a.model)), dtype=dtype,
                                                     gguf_file=os.path.basename(a.model), attn_implementation="sdpa")
    return model.eval()


def main():
    a = workload.options(__doc__, ["full", "released", "ready"], ["fp32", "bf16"])
    import torch
    import transformers
    from transformers import DynamicCache

    model = load(a)
    passages, question = workload.token_ids(a, model.config.vocab_size)

    def rotate(keys, positions, back=False):
        """Keys [1, heads, n, dim] moved to positions [n], computed in fp32."""
        cos, sin = model.model.rotary_emb(keys.float(), positions[None])
        cos, sin = cos[:, None], -sin[:, None] if back else sin[:, None]
        k = keys.float()
        half = k.shape[-1] // 2
        turned = torch.cat((-k[..., half:], k[..., :half]), -1)
        return (k * cos + turned * sin).to(keys.dtype)

    def encode(ids):
        """Keys and values of a block alone, per layer; keys without position."""
        cache = DynamicCache()
        model.model(input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True)
        here = torch.arange(len(ids))
        return [(rotate(layer.keys, here, back=True), layer.values) for layer in cache.layers]

    def merge(stored):
        n = sum(block[0][0].shape[2] for block in stored)
        places = torch.arange(n)
        cache = DynamicCache()
        for i in range(len(stored[0])):
            keys = torch.cat([block[i][0] for block in stored], 2)
            values = torch.cat([block[i][1] for block in stored], 2)
            cache.update(rotate(keys, places), values, i)
        return cache

    def prefill(ids, cache):
        out = model(input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        return int(out.logits[0, -1].argmax())

    def full(ids):
        start = time.perf_counter()
        argmax = prefill(ids, DynamicCache())
        return {"prefill": time.perf_counter() - start}, argmax

    def released(stored):
        start = time.perf_counter()
        cache = merge(stored)
        merged = time.perf_counter()
        argmax = prefill(question, cache)
        return {"merge": merged - start, "prefill": time.perf_counter() - merged}, argmax

    def ready(cache):
        before = cache.get_seq_length()
        start = time.perf_counter()
        argmax = prefill(question, cache)
        seconds = time.perf_counter() - start
        cache.crop(before - cache.get_seq_length())  # a negative number: that many off the end
        return {"prefill": seconds}, argmax

    cases = {}
    with torch.inference_mode():
        one_by_one = {} if set(a.methods) == {"full"} else {
            tuple(b): encode(b) for n in a.lengths for b in workload.blocks(passages, n - a.question, a.block)}
        for length in a.lengths:
            n = length - a.question
            stored = [one_by_one[tuple(b)] for b in workload.blocks(passages, n, a.block)] if one_by_one else []
            if "full" in a.methods:
                cases["full", length] = lambda ids=passages[:n] + question: full(ids)
            if "released" in a.methods and stored:
                cases["released", length] = lambda stored=stored: released(stored)
            if "ready" in a.methods and stored:
                cases["ready", length] = lambda cache=merge(stored): ready(cache)
        workload.measure(a, "transformers", {"torch": torch.__version__, "transformers": transformers.__version__,
                                             "cpu": torch.backends.cpu.get_cpu_capability()}, cases)


if __name__ == "__main__":
    main()
