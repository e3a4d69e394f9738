"""Makes prompts.json: the requests on which golden logits are taken, as token ids with roles, and the size of the
model file that they were taken on.

    prompts.py MODEL.gguf RAG_FOLDER

Passages are real ones; RAG_FOLDER holds nq.eval.jsonl.gz, 2wiki.eval.jsonl and hotpotqa.eval.jsonl, one item a line:
{"question", "documents": [{"title", "text"}]}. Only token ids are kept. The tokenizer that transformers builds from
this GGUF splits digits unlike the model's own; any valid ids will do here.
"""
import gzip
import json
import os
import sys

from transformers import AutoTokenizer

import oracle
from gemma import Gemma

HERE = os.path.dirname(os.path.abspath(__file__))
# folder of the golden logits: what opens the system's, what opens the user's turn, what opens the answer
CHATML = ("<|im_start|>system\n", "<|im_end|>\n<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
MARKS = {"": CHATML,
         **{folder: CHATML for folder in oracle.BY_TRANSFORMERS.values()},
         Gemma.folder: ("<bos><start_of_turn>user\n", "\n\n", "<end_of_turn>\n<start_of_turn>model\n")}


def items(folder, name):
    path = os.path.join(folder, name)
    with gzip.open(path, "rt") if name.endswith(".gz") else open(path) as f:
        return [json.loads(line) for line in f]


def main(model, rag):
    tok = AutoTokenizer.from_pretrained(os.path.dirname(model), gguf_file=os.path.basename(model))

    folder = oracle.folder_of(model)
    system, user, answer = MARKS[folder]
    SYSTEM = system + "Answer the question from the search documents." + user
    ASK = "Please write a high-quality answer for the given question.\nQuestion: {}" + answer
    TASK = "\nAnswer in one short sentence." + answer

    def ids(text):
        return tok(text, add_special_tokens=False)["input_ids"]

    nq, wiki, hotpot = (items(rag, n) for n in ("nq.eval.jsonl.gz", "2wiki.eval.jsonl", "hotpotqa.eval.jsonl"))

    def passages(item):
        """Passages of an item as ids, shortest first."""
        return sorted((ids("- Title: %s\n%s\n" % (d["title"], d["text"])) for d in item["documents"]), key=len)

    requests = []

    def add(name, system, contexts, question, task=None):
        requests.append({
            "name": name,
            "ids": ([ids(system)] if system else []) + contexts + [ids(question)] + ([ids(task)] if task else []),
            "roles": (["system"] if system else []) + ["passage"] * len(contexts) + ["question"] +
                     (["task"] if task else []),
        })

    a, b, c, d, e, f, g = nq[0], wiki[0], hotpot[0], wiki[1], nq[1], hotpot[1], wiki[2]
    add("two", SYSTEM, passages(a)[2:4], ASK.format(a["question"]))
    add("ten", SYSTEM, passages(b)[:10], ASK.format(b["question"]))
    p = passages(c)
    add("unequal", SYSTEM, [p[-1], ids(" yes"), p[0][:9], p[1], p[2][:33]], ASK.format(c["question"]))
    p = passages(d)
    add("repeated", SYSTEM, [p[1], p[0], p[1], p[2], p[0]], ASK.format(d["question"]))
    p = passages(e)
    add("no-system", None, [p[1], p[0][:40], p[2]], ASK.format(e["question"]))
    add("minimal", "\n", [ids(" Paris"), ids(" the capital of France")], "?")
    p = passages(f) + passages(hotpot[2])
    add("long", SYSTEM, sorted(p, key=len)[-12:], ASK.format(f["question"]))
    p = passages(g)
    add("task", SYSTEM, [p[2], p[0], ids(" no"), p[3], p[1]], "\nQuestion: %s" % g["question"], TASK)
    p = passages(hotpot[3])
    add("task-no-system", None, [p[0], p[1], p[0][:25]], "\nQuestion: %s" % hotpot[3]["question"], TASK)
    # whether the question's first token counts decides here which two paths are kept
    add("task-first", None, passages(wiki[4])[:5], " Who? is it", TASK)

    if folder:
        requests = [r for r in requests if r["name"] in oracle.SECOND_MODEL]
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, "prompts.json"), "w") as out:
        out.write('{"model_bytes": %d, "requests": [\n%s\n]}\n' % (
            os.path.getsize(model), ",\n".join(json.dumps(r, separators=(",", ":")) for r in requests)))
    for r in requests:
        print("%-16s %5d tokens %s" % (r["name"], sum(map(len, r["ids"])), [len(s) for s in r["ids"]]))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
