"""What all peers are asked for: options, token ids, the order of cases, and one JSON line per sample on stdout.

A prompt of `length` tokens is passages of `block` tokens (the last one shorter) and a question of `question` tokens at
the end. Ids come from a JSON file {"passages": [id, ...], "question": [id, ...]} or are drawn by the seed: the work
does not depend on which tokens they are.
"""
import argparse
import json
import random
import sys


def options(about, methods, dtypes):
    p = argparse.ArgumentParser(description=about)
    p.add_argument("--model", required=True, help="GGUF file (transformers: or a Hugging Face folder)")
    p.add_argument("--lengths", default="2048", help="comma-separated, the question included")
    p.add_argument("--question", type=int, default=50)
    p.add_argument("--block", type=int, default=128)
    p.add_argument("--dtype", default=dtypes[0], choices=dtypes)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--methods", default=",".join(methods), help="of " + ", ".join(methods))
    p.add_argument("--repeat", type=int, default=3, help="samples of each, behind one that warms up")
    p.add_argument("--ids", help="JSON file with the token ids")
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    a.lengths, a.methods = [int(n) for n in a.lengths.split(",")], a.methods.split(",")
    for m in a.methods:
        if m not in methods:
            p.error("unknown method %s; there is %s" % (m, ", ".join(methods)))
    if min(a.lengths) < a.question or a.block < 1 or a.question < 1:
        p.error("a length holds at least the question, and block and question at least one token")
    return a


def token_ids(a, vocab):
    """(ids of the longest prompt's passages, ids of the question)"""
    most = max(a.lengths) - a.question
    if a.ids:
        with open(a.ids) as f:
            given = json.load(f)
        passages, question = given["passages"], given["question"]
        if len(passages) < most or len(question) != a.question:
            sys.exit("%s: needs %d ids of passages and %d of the question" % (a.ids, most, a.question))
        return passages, question
    draw = random.Random(a.seed)
    return [draw.randrange(100, vocab) for _ in range(most)], [draw.randrange(100, vocab) for _ in range(a.question)]


def blocks(passages, n, size):
    return [passages[i:min(i + size, n)] for i in range(0, n, size)]


def measure(a, peer, versions, cases):
    """cases: {(method, length): function that returns ({stage: seconds}, argmax)}. Order is random in every round."""
    order = random.Random(a.seed)
    for turn in range(-1, a.repeat):
        todo = list(cases)
        order.shuffle(todo)
        for method, length in todo:
            stages, argmax = cases[method, length]()
            sample = {"peer": peer, "method": method, "length": length, "question": a.question, "block": a.block,
                      "dtype": a.dtype, "threads": a.threads, "warmup": turn < 0, "seconds": sum(stages.values()),
                      "stages": stages, "argmax": argmax, "versions": versions}
            print(json.dumps(sample), flush=True)
