"""What the differential tests share: running the program, comparing, counting.

A case has one of these ends:
  equal      the program's logits are the reference's, within 1e-4 of the largest
  refused    the program says with status 2 why it does not compute this
  failed     the reference itself cannot load it, and the program does (there is no right value; listed, not an error)
  different  anything else: a test that finds one exits with 1
"""
import collections
import json
import os
import subprocess

PROGRAM = os.environ.get("BLOCKATTN", "build/blockattn")
IDS = [3, 17, 42, 9, 61, 30, 77, 5, 88, 21, 54, 13, 70, 2, 35, 66, 90, 11, 48, 29, 83, 7, 59, 40]
LIMIT = 1e-4


def logits_of(folder, vocab, *options):
    """(logits, None), or (None, the line that says why not)."""
    request = os.path.join(folder, "request.json")
    with open(request, "w") as f:
        json.dump({"ids": [IDS]}, f)
    done = subprocess.run([PROGRAM, "logits", "--request", request, "--mode", "full", "--json", "--threads", "1",
                           "--quiet", "--no-packed", "--backend", "ref", "--top", str(vocab), *options],
                          capture_output=True, text=True)
    if done.returncode:
        line = done.stderr.strip()
        if done.returncode != 2 or "\n" in line or not line:
            return None, f"status {done.returncode}: {line!r} is no refusal"
        return None, line
    top = json.loads(done.stdout)["top"]
    row = [0.0] * vocab
    for i, v in zip(top["ids"], top["values"]):
        row[i] = v
    return row, None


def write_tokenizer(folder, vocab):
    """A byte-level vocabulary that the program needs to open a folder; the cases are given as ids."""
    with open(os.path.join(folder, "tokenizer.json"), "w") as f:
        json.dump({"version": "1.0", "added_tokens": [], "normalizer": None,
                   "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                                     "use_regex": True},
                   "model": {"type": "BPE", "vocab": {chr(33 + i): i for i in range(min(vocab, 94))}, "merges": []}}, f)


def judge(ours, why, right):
    """(end, how far). right: the reference's logits, or None where it fails."""
    if ours is None:
        return ("different" if "is no refusal" in why else "refused"), 0.0
    if right is None:
        return "failed", 0.0
    scale = max(1.0, max(abs(x) for x in right))
    far = max(abs(a - b) for a, b in zip(ours, right)) / scale
    return ("equal" if far <= LIMIT else "different"), far  # NaN is different


class Counts:
    def __init__(self, what):
        self.what, self.n, self.farthest, self.reasons = what, collections.Counter(), 0.0, collections.Counter()

    def add(self, end, far, why, case):
        self.n[end] += 1
        if end == "equal":
            self.farthest = max(self.farthest, far)
        if end in ("different", "failed"):
            print(f"{end}: {case} ({far:.2e}) {why or ''}", flush=True)
        if end == "refused":
            self.reasons[why.split(": ", 2)[-1][:90]] += 1

    def finish(self, seed, verbose):
        if verbose:
            for reason, n in self.reasons.most_common():
                print(f"{n:5}  {reason}")
        print(f"{self.what}: {sum(self.n.values())} cases, seed {seed}: {self.n['equal']} equal (farthest "
              f"{self.farthest:.1e}), {self.n['refused']} refused, {self.n['failed']} that only the program loads, "
              f"{self.n['different']} different")
        return 1 if self.n["different"] else 0
