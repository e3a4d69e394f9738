"""Golden logits of full and block attention from transformers, in fp32; and a check of the oracle against it.

    reference.py MODEL.gguf           writes full.json and block.json
    reference.py MODEL.gguf --check   compares every mode of oracle.py that transformers can express

transformers knows one position per row and a 4-D mask. Block attention is that mask with the positions spelled out.
So is every other mode whose rows stand at one position for all who see them (fractional ones included): for these the
oracle's own layout is handed to transformers, and the logits must agree.
"""
import os
import sys

import torch
from transformers import AutoModelForCausalLM

import oracle
from llama import softmax_attention


def load(path):
    model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path),
                                                 dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def mask_of(model, visible, positions):
    """What transformers wants for visible [rows, rows] of bool; a mask a kind of layer if some see a window."""
    def mask(allowed):
        return torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[None, None]

    if "sliding_attention" not in (getattr(model.config, "layer_types", None) or []):
        return mask(visible)
    near = positions[:, None] - positions < model.config.sliding_window
    return {"full_attention": mask(visible), "sliding_attention": mask(visible & near)}


def run(model, ids, positions, visible):
    """Logits after the last row. visible [rows, rows] of bool."""
    return model(input_ids=torch.tensor([ids]), position_ids=positions[None],
                 attention_mask=mask_of(model, visible, positions), use_cache=False, logits_to_keep=1).logits[0, -1]


def full(model, prompt):
    return model(input_ids=torch.tensor([sum(prompt.segments, [])]), use_cache=False, logits_to_keep=1).logits[0, -1]


def block(model, prompt):
    n, last = prompt.n, len(prompt.segments[-1])
    visible = torch.zeros(n, n, dtype=torch.bool)
    place = 0
    for s in prompt.segments:
        visible[place:place + len(s), place:place + len(s)] = True
        place += len(s)
    visible[n - last:] = True
    return run(model, sum(prompt.segments, []), torch.arange(n), visible.tril())


def write_golden(model, folder, prompts):
    from transformers import __version__
    made_by = "transformers %s, torch %s, eager, float32" % (__version__, torch.__version__)
    for name, function in (("full", full), ("block", block)):
        results = []
        for prompt in prompts.values():
            if name == "block" and prompt.task:
                continue
            results.append(oracle.entry(name, prompt.name, prompt.n, function(model, prompt)))
        oracle.write(folder, name, made_by, results)


class AsMask:
    """Takes the place of llama.Llama: runs the oracle's layout through transformers, if a mask can say it."""

    def __init__(self, path, hf):
        plain = oracle.load_model(path)
        self.bos, self.newline, self.hf = plain.bos, plain.newline, hf

    def forward(self, runs):
        first, n = {}, 0
        for run_ in runs:
            first[run_] = n
            n += run_.n
        visible = torch.zeros(n, n, dtype=torch.bool)
        for run_ in runs:
            if run_.attend is not softmax_attention:
                raise NotImplementedError("other than a softmax")
            for view in run_.views:
                if not torch.allclose(view.pos, view.rows.pos[view.index]):
                    raise NotImplementedError("a position per viewer")
                rows = torch.arange(first[run_], first[run_] + run_.n)[:, None]
                visible[rows, first[view.rows] + torch.tensor(view.index)] = view.visible
        positions = torch.cat([r.pos for r in runs]).float()
        hidden = self.hf.model(input_ids=torch.tensor([sum((r.ids for r in runs), [])]), position_ids=positions[None],
                               attention_mask=mask_of(self.hf, visible, positions), use_cache=False)
        hidden = hidden.last_hidden_state[0]
        return dict(zip(runs, hidden.split([r.n for r in runs])))

    def logits(self, x):
        return self.hf.lm_head(x)


def check(path, hf, prompts):
    plain, masked, worst = oracle.load_model(path), AsMask(path, hf), 0.0
    plain_prompts = [p for p in oracle.PLAIN if p in prompts]
    cases = [("full", oracle.full, {}, plain_prompts), ("block", oracle.block, {}, plain_prompts)]
    for function, on, variants in oracle.GOLDEN.values():
        cases += [(function.__name__ + " " + spelled, function, arguments, on) for spelled, arguments in variants]
    for name, function, arguments, on in cases:
        line = "%-45s" % name
        try:
            for p in on:
                if p in oracle.LARGE or p not in prompts:
                    continue
                got, want = function(plain, prompts[p], **arguments)[0], function(masked, prompts[p], **arguments)[0]
                difference = float((got - want).abs().max())
                worst = max(worst, difference)
                line += " %s %.1e" % (p, difference)
        except (NotImplementedError, AttributeError) as why:
            line += " not a mask"
        print(line, flush=True)
    print("worst %.2e" % worst)
    return 0 if worst < 1e-3 else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with torch.no_grad():
        torch.set_num_threads(2)
        hf, folder = load(sys.argv[1]), oracle.folder_of(sys.argv[1])
        requests = oracle.load_prompts(folder)
        if "--check" in sys.argv[2:]:
            sys.exit(check(sys.argv[1], hf, requests))
        write_golden(hf, folder, requests)
