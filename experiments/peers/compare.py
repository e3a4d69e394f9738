"""blockattn and its peers on the same passages, model and threads, in turns: ratios of medians.

    compare.py [--blockattn build/blockattn] [--model M.gguf] [--lengths 2048,8192] [--rounds 3] [--out FILE.jsonl]

In every round each program runs once, in random order, alone on the machine. Passages are words that are one token
each, given to blockattn as text and to the peers as the ids that blockattn makes of it; the question's 50 tokens are
each program's own. Our times begin with the text, the peers' with the ids. If OPENBLAS_CORETYPE is set, blockattn runs
both with it and without it. Raw samples go to FILE as JSON lines.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = ("time year people way day man thing woman life child world school state family student group country problem "
         "hand part place case week company system program question work government number night point home water room "
         "mother area money story fact month lot right study book eye job word business issue side kind head "
         "house").split()
FLAGS = "avx2 fma avx512f avx512bw avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16".split()
PRESET = [v for v in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if os.environ.get(v)]

# label of a comparison: (numerator, denominator); a program's samples are named (program, method)
RATIOS = [
    ("full: transformers / ours", ("transformers", "full"), ("blockattn", "full")),
    ("warm block: released way / ours", ("transformers", "released"), ("blockattn", "block")),
    ("warm block: merged cache ready / ours", ("transformers", "ready"), ("blockattn", "block")),
    ("full: llama.cpp (quantised) / ours", ("llama.cpp", "full"), ("blockattn", "full")),
    ("warm block: llama.cpp, prefix ready / ours", ("llama.cpp", "ready"), ("blockattn", "block")),
    ("ours: full / warm block", ("blockattn", "full"), ("blockattn", "block")),
]


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--blockattn", default="build/blockattn")
    p.add_argument("--model", default=os.environ.get("BLOCKATTN_MODEL") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "blockattn",
        "SmolLM2-135M-Instruct.Q4_1.gguf"))
    p.add_argument("--lengths", default="2048,8192")
    p.add_argument("--question", type=int, default=50)
    p.add_argument("--block", type=int, default=128)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--repeat", type=int, default=3, help="samples of a case in a round")
    p.add_argument("--peers", default="transformers,llamacpp")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--out", help="raw samples, JSON lines")
    return p.parse_args()


def make_passages(a, folder):
    """Writes the passages as text and as ids; names of both files."""
    draw = random.Random(a.seed)
    words = [draw.choice(WORDS) for _ in range(max(map(int, a.lengths.split(","))))]
    text = "".join(" " + w for w in words)
    made = subprocess.run([a.blockattn, "tokenize", "--ids", "--model", a.model], input=text, text=True, check=True,
                          stdout=subprocess.PIPE)
    ids = json.loads(made.stdout)
    if len(ids) != len(words):
        sys.exit("this tokenizer does not make one token of each word: %d of %d" % (len(ids), len(words)))
    paths = os.path.join(folder, "passages.txt"), os.path.join(folder, "ids.json")
    with open(paths[0], "w") as f:
        f.write(text)
    with open(paths[1], "w") as f:
        json.dump({"passages": ids, "question": ids[:a.question]}, f)
    return paths


def ours(a, text, folder, seed, unset):
    """Samples of blockattn, from its own trace."""
    trace = os.path.join(folder, "ours.h5")
    if os.path.exists(trace):
        os.remove(trace)
    env = {k: v for k, v in os.environ.items() if not (unset and k in PRESET)}
    run = [a.blockattn, "ttft", "--model", a.model, "--mode", "full,block", "--executor", "place",
           "--lengths", a.lengths, "--question", str(a.question), "--block-tokens", str(a.block), "--data", text,
           "--dtype", {"fp32": "f32", "bf16": "bf16"}[a.dtype], "--threads", str(a.threads), "--seed", str(seed),
           "--repeat", str(a.repeat), "--out", trace, "--csv", "--quiet"]
    subprocess.run(run, check=True, env=env, stdout=subprocess.DEVNULL)
    table = lambda name: json.loads(subprocess.run([a.blockattn, "export", trace, name, "--json"], check=True, env=env,
                                                   stdout=subprocess.PIPE).stdout)
    cases = {c["item"]: c for c in table("cases")}
    for s in table("samples"):
        case = cases[s["item"]]
        if case["cold"] == (case["mode"] != "full"):
            continue  # block: warm; full: there is only cold
        yield {"peer": "blockattn", "variant": "OPENBLAS_CORETYPE unset" if unset else "environment as it is",
               "method": case["mode"], "length": case["length"], "warmup": bool(s["warmup"]), "seconds": s["ttft_s"],
               "dtype": a.dtype, "threads": a.threads}


def peer(a, name, ids, seed):
    run = [sys.executable, os.path.join(HERE, name + "_peer.py"), "--model", a.model, "--lengths", a.lengths,
           "--question", str(a.question), "--block", str(a.block), "--threads", str(a.threads),
           "--repeat", str(a.repeat), "--seed", str(seed), "--ids", ids]
    if name == "transformers":
        run += ["--dtype", a.dtype]
    done = subprocess.run(run, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return map(json.loads, done.stdout.splitlines())


def cpu():
    with open("/proc/cpuinfo") as f:
        lines = dict(line.split(":", 1) for line in f.read().split("\n\n")[0].splitlines() if ":" in line)
    facts = {k.strip(): v.strip() for k, v in lines.items()}
    flags = facts.get("flags", "").split()
    return "%s: %s" % (facts.get("model name", "?"), " ".join(f for f in FLAGS if f in flags))


def report(a, samples):
    times = {}
    for s in samples:
        if not s["warmup"]:
            times.setdefault((s["peer"], s["method"], s.get("variant"), s["length"]), []).append(s["seconds"])
    print(cpu())
    print("%d threads, %s, question %d, blocks of %d; OPENBLAS_CORETYPE=%s" % (
        a.threads, a.dtype, a.question, a.block, os.environ.get("OPENBLAS_CORETYPE", "(not set)")))
    print("\n%-14s %-10s %-26s %8s %10s %10s %4s" % ("program", "method", "variant", "length", "median s", "min s",
                                                     "n"))
    for (program, method, variant, length), t in sorted(times.items(), key=lambda kv: (kv[0][3], str(kv[0]))):
        print("%-14s %-10s %-26s %8d %10.4f %10.4f %4d" % (program, method, variant or "", length,
                                                           statistics.median(t), min(t), len(t)))
    print("\n%-46s %-26s %8s %8s" % ("ratio of medians", "variant of ours", "length", "ratio"))
    for label, top, bottom in RATIOS:
        for (program, method, variant, length), t in sorted(times.items(), key=lambda kv: (kv[0][3], str(kv[0]))):
            other = times.get((*top, variant if top[0] == "blockattn" else None, length))
            if (program, method) == bottom and other:
                print("%-46s %-26s %8d %8.2f" % (label, variant, length,
                                                 statistics.median(other) / statistics.median(t)))


def main():
    a = arguments()
    samples, order = [], random.Random(a.seed)
    with tempfile.TemporaryDirectory() as folder:
        text, ids = make_passages(a, folder)
        programs = [("ours", False)] + ([("ours", True)] if PRESET else [])
        programs += [(name, None) for name in a.peers.split(",") if name]
        for r in range(a.rounds):
            order.shuffle(programs)
            for name, unset in programs:
                print("round %d of %d: %s%s" % (r + 1, a.rounds, name, " (unset)" if unset else ""), file=sys.stderr)
                took = ours(a, text, folder, r, unset) if name == "ours" else peer(a, name, ids, r)
                for s in took:
                    samples.append({**s, "round": r})
                    if a.out:
                        with open(a.out, "a") as f:
                            f.write(json.dumps(samples[-1]) + "\n")
    report(a, samples)


if __name__ == "__main__":
    main()
