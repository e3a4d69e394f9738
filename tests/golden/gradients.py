"""Makes gradients/*.json: gradients of the loss of an answer with respect to every tensor, from PyTorch in fp32.

    gradients.py MODEL.gguf RAG_FOLDER      of the real model, on a sample of nq.eval.jsonl.gz
    gradients.py --tiny                     of tiny/ARCH

The loss is the sum of -log P over the answer's tokens. Attention goes through an explicit 4-D mask and explicit
positions: full, block, block-nopos, pcw. Of each gradient G the length is kept, and its products with PROBES vectors
of signs: the mean square of the products of a difference D with such vectors is |D|^2, so they tell its length.
Sign k of element i (row-major) is + if bit k of the i-th number of SplitMix64 from seed 0 is 0.
"""
import json
import os
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
PROBES = 8


def bits(n):
    """The first n numbers of SplitMix64 from seed 0."""
    with np.errstate(over="ignore"):
        z = (np.arange(1, n + 1, dtype=np.uint64)) * np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        return z ^ (z >> np.uint64(31))


def layout(mode, lengths, has_system):
    """Positions, and for every row the segments it sees whole; every row sees its own segment causally."""
    n, last = sum(lengths), len(lengths) - 1
    start = [sum(lengths[:i]) for i in range(len(lengths))]
    prefix = lengths[0] if has_system else 0
    if mode == "full":
        return list(range(n)), [list(range(i)) for i in range(len(lengths))]
    sees = [[] for _ in lengths]
    sees[last] = list(range(last))
    if mode == "block":
        return list(range(n)), sees
    if mode == "block-nopos":
        begin = [0] * last + [start[last]]
    else:  # pcw
        first = 1 if has_system else 0
        begin = [0] * first + [prefix] * (last - first) + [prefix + max(lengths[first:last])]
        for i in range(first, last):
            sees[i] = list(range(first))
    return [begin[i] + j for i in range(len(lengths)) for j in range(lengths[i])], sees


def mask_of(lengths, sees):
    n = sum(lengths)
    start = [sum(lengths[:i]) for i in range(len(lengths))]
    visible = torch.zeros(n, n, dtype=torch.bool)
    for i, l in enumerate(lengths):
        rows = slice(start[i], start[i] + l)
        visible[rows, rows] = torch.ones(l, l).tril().bool()
        for j in sees[i]:
            visible[rows, start[j]:start[j] + lengths[j]] = True
    return visible


def gradients(model, request, answer, mode):
    model.get_input_embeddings().padding_idx = None  # PyTorch would leave out the row of a token that occurs here
    segments = request["ids"][:-1] + [request["ids"][-1] + answer[:-1]]
    lengths = [len(s) for s in segments]
    positions, sees = layout(mode, lengths, request["roles"][0] == "system")
    positions, visible = torch.tensor(positions), mask_of(lengths, sees)
    window = getattr(model.config, "sliding_window", None) or (1 << 30)
    near = positions[:, None] - positions < window

    def additive(allowed):
        return torch.zeros(visible.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[None, None]

    if model.config.model_type == "gemma3_text":
        given = {"full_attention": additive(visible), "sliding_attention": additive(visible & near)}
    else:
        given = additive(visible & near if model.config.model_type == "mistral" else visible)
    model.zero_grad()
    logits = model(input_ids=torch.tensor([sum(segments, [])]), position_ids=positions[None], attention_mask=given,
                   use_cache=False, logits_to_keep=len(answer)).logits[0]
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum")
    loss.backward()
    tensors = {}
    for name, p in model.named_parameters():
        g = p.grad.double().numpy().reshape(-1)
        z = bits(g.size)
        tensors[name] = ["%.7g" % x for x in [np.sqrt((g * g).sum())] + [
            (g * (1 - 2 * ((z >> np.uint64(k)) & np.uint64(1)).astype(np.int8))).sum() for k in range(PROBES)]]
    return {"mode": mode, "nll": round(loss.item(), 6), "tensors": tensors}


def write(name, model, request, answer):
    modes = ["full", "block", "block-nopos", "pcw"]
    results = [gradients(model, request, answer, mode) for mode in modes]
    os.makedirs(os.path.join(HERE, "gradients"), exist_ok=True)
    with open(os.path.join(HERE, "gradients", name + ".json"), "w") as f:
        head = {"model_bytes": request.pop("model_bytes", 0), "request": request, "answer": answer}
        f.write('{"head": %s,\n"results": [' % json.dumps(head, separators=(",", ":")))
        for i, r in enumerate(results):
            rows = ",\n".join('"%s":[%s]' % (k, ",".join(v)) for k, v in r["tensors"].items())
            f.write('%s\n{"mode": "%s", "nll": %r, "tensors": {\n%s}}' % ("," if i else "", r["mode"], r["nll"], rows))
        f.write("]}\n")
    print("%-8s %s" % (name, [(r["mode"], r["nll"]) for r in results]))


def main(argv):
    if argv == ["--tiny"]:
        for name in sorted(os.listdir(os.path.join(HERE, "tiny"))):
            folder = os.path.join(HERE, "tiny", name)
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
            request = json.load(open(os.path.join(folder, "golden.json")))["requests"][0]
            answer = [int(x) % 300 + 4 for x in bits(5)]
            write(name, model, {"ids": request["ids"], "roles": request["roles"]}, answer)
        return
    path, rag = argv
    import prompts
    from transformers import AutoTokenizer
    folder, file = os.path.dirname(path), os.path.basename(path)
    tok = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32,
                                                 attn_implementation="eager")
    item = prompts.items(rag, "nq.eval.jsonl.gz")[0]
    request = next(r for r in json.load(open(os.path.join(HERE, "prompts.json")))["requests"] if r["name"] == "two")
    request = {"ids": request["ids"], "roles": request["roles"], "model_bytes": os.path.getsize(path)}
    write("real", model, request, tok(item["answers"][0], add_special_tokens=False)["input_ids"])


if __name__ == "__main__":
    main(sys.argv[1:])
