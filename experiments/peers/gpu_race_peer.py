"""PyTorch on a GPU as an entrant of `bench versus --shape`: the requests of peer.py, random bf16 weights of the shape
llama-3.1-8b, ids, KV on the card. Methods: full, released, ready and graph, as in gpu_peer.py; the clock runs from ids on the
host to the first token on the host.
"""
import torch

import gpu_peer as g
from peer import serve


def start(shape, dtype, _threads, ids):
    if shape != "llama-3.1-8b" or dtype != "bf16":
        raise ValueError("only llama-3.1-8b in bf16")
    torch.set_grad_enabled(False)
    model, given = g.llama(), torch.tensor([ids])
    at, kept, graphs = {}, {}, {}

    def timed(work):
        return lambda *size: (g.by_clock(lambda _: at.update(token=work(*size)), None), at["token"])

    def first(outputs):
        return int(outputs.logits[0, -1].argmax())

    def full(length, _question, _block):
        return first(model(given[:, :length].cuda(), use_cache=True, logits_to_keep=1))

    def blocks_of(length, block):
        if (length, block) not in kept:
            kept.clear()
            kept[length, block] = g.block_caches(length, block)
        return kept[length, block]

    def over(cache, question):
        return first(model(given[:, :question].cuda(), past_key_values=cache, use_cache=True, logits_to_keep=1))

    def released(length, question, block):
        layers = blocks_of(length, block)
        return g.by_clock(lambda _: at.update(token=over(g.cache_of(*g.merged(layers)), question)), None), at["token"]

    def ready(length, question, block):
        cache = g.cache_of(*g.merged(blocks_of(length, block)))
        return g.by_clock(lambda _: at.update(token=over(cache, question)), None), at["token"]

    def graph(length, question, _block):
        if length not in graphs:
            graphs.clear()
            torch.cuda.empty_cache()
            graphs[length] = g.question_graph(question, length)
        replay, out = graphs[length]
        return g.by_clock(lambda _: (replay.replay(), at.update(token=int(out[0]))), None), at["token"]

    versions = f"torch {torch.__version__}, transformers {__import__('transformers').__version__}, {torch.cuda.get_device_name()}"
    return versions, {"full": timed(full), "released": released, "ready": ready, "graph": graph}


serve(start)
