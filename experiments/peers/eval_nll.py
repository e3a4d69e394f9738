"""NLL of gold answers by transformers against `blockattn eval`, full and block (a 4-D mask), on the same token ids.

    eval_nll.py [--blockattn build/blockattn] [--model M.gguf] [--task nq] [--data DIR] [--skip 0] [--limit 100]
                [--threads 2] [--trace OURS.h5]

Runs `blockattn eval --metric nll --dump`, scores every dumped item in fp32, and fails if any item's NLL differs by more
than 1e-3 nats a token. Block: every segment but the last sees itself only, at its place; question, task segment and
answer see everything before them.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch

from transformers_peer import load

LIMIT = 1e-3


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--blockattn", default="build/blockattn")
    p.add_argument("--model", default=os.environ.get("BLOCKATTN_MODEL") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "blockattn",
        "SmolLM2-135M-Instruct.Q4_1.gguf"))
    p.add_argument("--task", default="nq")
    p.add_argument("--data")
    p.add_argument("--skip", type=int, default=0, help="pass over the first of them")
    p.add_argument("--limit", type=int, default=100)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--trace", help="go on with this trace of our side: rows that it holds are not computed again")
    return p.parse_args()


def ours(a, folder):
    """Dumped items, and our NLL by (id, mode)."""
    dump = os.path.join(folder, "dump.jsonl")
    run = [a.blockattn, "eval", "--model", a.model, "--task", a.task, "--mode", "full,block", "--metric", "nll",
           "--skip", str(a.skip), "--limit", str(a.limit), "--dtype", "f32", "--threads", str(a.threads), "--dump", dump,
           "--json"]
    if a.trace:
        run += ["--out", a.trace, "--resume"]
    if a.data:
        run += ["--data", a.data]
    rows = map(json.loads, subprocess.run(run, check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines())
    nll = {(r["id"], r["mode"]): r["nll"] for r in rows if "summary" not in r and r["state"] == "done"}
    with open(dump) as f:
        return list(map(json.loads, f)), nll


def block_mask(lengths, n):
    """[1, 1, n, n] additive: causal, and blocks of these lengths see themselves only."""
    see = torch.ones(n, n, dtype=torch.bool).tril()
    at = 0
    for length in lengths:
        see[at:at + length, :at] = False
        at += length
    return torch.zeros(n, n).masked_fill(~see, torch.finfo(torch.float32).min)[None, None]


@torch.inference_mode()
def nll(model, prompt, local, answer):
    ids = torch.tensor([prompt + answer])
    n = ids.shape[1]
    logits = model(input_ids=ids, attention_mask=block_mask(local, n), position_ids=torch.arange(n)[None],
                   logits_to_keep=len(answer) + 1).logits[0, :-1]
    return -torch.log_softmax(logits.double(), -1).gather(1, torch.tensor(answer)[:, None]).sum().item()


def main():
    a = arguments()
    with tempfile.TemporaryDirectory() as folder:
        items, mine = ours(a, folder)
    model = load(os.path.abspath(a.model), "f32")
    worst = {"full": 0.0, "block": 0.0}
    n, whole = 0, True
    try:
        for item in items:
            if (item["id"], "full") not in mine:
                continue
            segments, answer = item["request"]["ids"], item["answer_ids"]
            blocks = [len(s) for s, role in zip(segments, item["request"]["roles"]) if role not in ("question", "task")]
            for mode, local in (("full", []), ("block", blocks)):
                theirs = nll(model, sum(segments, []), local, answer)
                worst[mode] = max(worst[mode], abs(theirs - mine[item["id"], mode]) / len(answer))
            n += 1
            if sys.stderr.isatty():
                print("\r%d of %d" % (n, len(items)), end="", file=sys.stderr)
    except KeyboardInterrupt:  # what was compared until then counts
        whole = False
        print("interrupted", file=sys.stderr)
    print("%s: %d of %d items; largest difference, nats a token: full %.2e, block %.2e (limit %.0e)" % (
        a.task, n, len(items), worst["full"], worst["block"], LIMIT))
    sys.exit(not whole or n == 0 or not max(worst.values()) <= LIMIT)


if __name__ == "__main__":
    main()
