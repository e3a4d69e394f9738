"""HumanEval, pass@1 of one greedy output: do the data set's own tests pass?

    sudo humaneval.py --data humaneval.jsonl OUTPUTS.jsonl... >scores.jsonl

An output is a completion of the prompt, or text with a code block that holds the whole function. It runs confined
(confine.py), and passes only if all tests have run to their end: one that leaves early, with status 0 too, does not.
"""
import re

import confine
import outputs


def program(d, completion):
    block = re.search(r"```(?:python)?\n(.*?)```", completion, re.S)
    code = block.group(1) if block else completion
    if "def " + d["entry_point"] not in code:
        code = d["prompt"] + code
    else:  # the prompt's imports and helpers stay
        code = d["prompt"] + "    pass\n\n" + code
    return "%s\n%s\ncheck(%s)\n" % (code, d["test"], d["entry_point"])


def main():
    a = outputs.arguments(__doc__)
    by_id = {d["task_id"]: d for d in outputs.lines(a.data)}
    spaces = confine.prepare()
    for path in a.outputs:
        for line in outputs.lines(path):
            d = by_id[line["task_id"]]
            outputs.put(path, "humaneval", d["task_id"], confine.passes(program(d, line["completion"]), spaces))


if __name__ == "__main__":
    main()
