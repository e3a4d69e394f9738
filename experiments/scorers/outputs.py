"""What both scorers share: the official data by its key, and output files LABEL.TASK.MODE.jsonl."""
import argparse
import json
import os


def arguments(about):
    p = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="the data set, JSON Lines")
    p.add_argument("outputs", nargs="+", help="files that eval --outputs wrote")
    return p.parse_args()


def lines(path):
    with open(path) as f:
        return [json.loads(line) for line in f if line.strip()]


def names(path, task):
    """(label, mode) of an output file; a label may hold points, a mode none."""
    label, mode = os.path.basename(path)[:-len(".jsonl")].rsplit(".%s." % task, 1)
    return label, mode


def put(path, task, key, score):
    label, mode = names(path, task)
    print(json.dumps({"label": label, "task": task, "mode": mode, "id": key, "score": float(score)}))
