"""IFEval, prompt level, strict: does an output follow every instruction of its prompt?

    ifeval.py --data ifeval.jsonl OUTPUTS.jsonl... >scores.jsonl

The checks are the official ones, from the PyPI package if-verifiable. Its language detector draws at random: it is seeded,
so that the same outputs get the same scores.
"""
from langdetect import DetectorFactory
from if_verifiable import IFEvalSample, evaluate_output_for_sample

import outputs

DetectorFactory.seed = 0


def main():
    a = outputs.arguments(__doc__)
    by_prompt = {d["prompt"]: d for d in outputs.lines(a.data)}
    for path in a.outputs:
        for line in outputs.lines(path):
            d = by_prompt[line["prompt"]]
            sample = IFEvalSample(key=d["key"], prompt=d["prompt"], instruction_id_list=d["instruction_id_list"],
                                  kwargs=d["kwargs"])
            results, _ = evaluate_output_for_sample("ifeval", sample, line["response"])
            outputs.put(path, "ifeval", str(d["key"]), all(r.strict_pass for r in results))


if __name__ == "__main__":
    main()
