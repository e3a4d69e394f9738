"""PyTorch and transformers, with their own attention (sdpa): full, released, ready, cold."""
import inspect
import os

import peer


def load(path, dtype):
    import torch
    from transformers import AutoModelForCausalLM

    where = (path, {}) if os.path.isdir(path) else (os.path.dirname(path), {"gguf_file": os.path.basename(path)})
    return AutoModelForCausalLM.from_pretrained(where[0], dtype={"f32": torch.float32, "bf16": torch.bfloat16}[dtype],
                                                attn_implementation="sdpa", **where[1]).eval()


def start(path, dtype, threads, ids):
    import torch
    import transformers
    from transformers import DynamicCache

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    model = load(os.path.abspath(path), dtype)

    cache_is = "cache" if "cache" in inspect.signature(type(model).forward).parameters else "past_key_values"
    kinds = model.config.layer_types if model.config.model_type.startswith("gemma3") else None

    def rotate(layer, keys, positions, back=False):
        """Keys [1, heads, n, dim] of a layer moved to positions [n], computed in fp32."""
        cos, sin = model.model.rotary_emb(keys.float(), positions[None], *([kinds[layer]] if kinds else []))
        cos, sin = cos[:, None], -sin[:, None] if back else sin[:, None]
        k = keys.float()
        half = k.shape[-1] // 2
        turned = torch.cat((-k[..., half:], k[..., :half]), -1)
        return (k * cos + turned * sin).to(keys.dtype)

    def encode(block):
        """Keys and values of a block alone, in a cache."""
        cache = DynamicCache()
        model.model(input_ids=torch.tensor([block]), use_cache=True, **{cache_is: cache})
        return cache

    def store(cache):
        """Per layer; keys without position, as the released code keeps them."""
        return [(rotate(i, layer.keys, torch.arange(layer.keys.shape[2]), back=True), layer.values)
                for i, layer in enumerate(cache.layers)]

    def merge(stored):
        cache = DynamicCache()
        for i in range(len(stored[0])):
            keys = torch.cat([block[i][0] for block in stored], 2)
            values = torch.cat([block[i][1] for block in stored], 2)
            cache.update(rotate(i, keys, torch.arange(keys.shape[2])), values, i)
        return cache

    def prefill(tokens, cache):
        out = model(input_ids=torch.tensor([tokens]), use_cache=True, logits_to_keep=1, **{cache_is: cache})
        return int(out.logits[0, -1].argmax())

    kept = {}  # by length: stored blocks; merged caches under "ready"

    def stored(length, block):
        if length not in kept:
            kept[length] = [store(encode(b)) for b in peer.blocks(ids[:length], block)]
        return kept[length]

    def full(length, question, block):
        return peer.timed(lambda: prefill(ids[:length], DynamicCache()))

    def released(length, question, block):
        there = stored(length, block)
        return peer.timed(lambda: prefill(ids[:question], merge(there)))

    def ready(length, question, block):
        if ("ready", length) not in kept:
            kept["ready", length] = merge(stored(length, block))
        cache = kept["ready", length]
        seconds, token = peer.timed(prefill, ids[:question], cache)
        cache.crop(-question)  # a negative number: that many off the end
        return seconds, token

    def cold(length, question, block):
        todo = peer.blocks(ids[:length], block)
        return peer.timed(lambda: [encode(b) for b in todo])[0], -1

    versions = "torch %s, transformers %s, %s, %s" % (torch.__version__, transformers.__version__,
                                                      torch.backends.cpu.get_cpu_capability(), dtype)
    return versions, {"full": full, "released": released, "ready": ready, "cold": cold}


if __name__ == "__main__":
    peer.serve(start)
