#!/usr/bin/env python3
"""Generated adapters against PEFT: python3 tests/differential/adapters.py [CASES [SEED]]

An adapter_config.json with fields as PEFT writes them, also those that contradict its tensors, on tiny models of five
architectures. Needs torch, transformers, peft and safetensors; without them it says so and is skipped. Exit status 1: a
difference.
"""
import contextlib
import io
import json
import os
import random
import sys
import tempfile
import warnings

try:
    import peft
    import torch
    import transformers
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM
except ImportError as e:
    print(f"adapters: skipped, Python has no {e.name}")
    sys.exit(0)

import configs
from harness import IDS, Counts, judge, logits_of, write_tokenizer

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def usual(r):
    rank = r.choice([1, 2, 4])
    return {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": r.choice([4, 8, 16, 0.5]),
            "target_modules": r.sample(LINEAR, r.choice([1, 2, 4, 7])), "lora_dropout": 0.1, "bias": "none",
            "inference_mode": True, "base_model_name_or_path": "base", "init_lora_weights": True,
            "fan_in_fan_out": False, "modules_to_save": None, "revision": None, "auto_mapping": None,
            "layers_to_transform": None, "layers_pattern": None, "rank_pattern": {}, "alpha_pattern": {},
            "use_rslora": False, "use_dora": False, "megatron_config": None, "megatron_core": "megatron.core",
            "loftq_config": {}, "eva_config": None, "corda_config": None, "exclude_modules": None, "lora_bias": False,
            "layer_replication": None, "trainable_token_indices": None, "target_parameters": None, "qalora_group_size": 16,
            "use_qalora": False, "alora_invocation_tokens": None, "peft_version": "0.21.0", "arrow_config": None,
            "ensure_weight_tying": False}


def change(c, r, layers):
    """One field that is not as usual."""
    pick = r.choice(LINEAR)
    fields = [
        {"init_lora_weights": r.choice(["pissa", "pissa_niter_2", "olora", "gaussian", "eva", "orthogonal", "loftq",
                                        "corda", "mica", False, None])},
        {"use_rslora": True}, {"use_dora": True}, {"lora_bias": True}, {"bias": r.choice(["all", "lora_only"])},
        {"r": r.choice([1, 3, 8, 16])}, {"r": 2.5}, {"r": 0}, {"lora_alpha": r.choice([0, -4, 3.5])},
        {"rank_pattern": r.choice([{pick: 3}, {f"layers.0.self_attn.{pick}": 3}, {r".*\.1\..*_proj": 3},
                                   {"^model.layers.0.self_attn.q_proj": 5}])},
        {"alpha_pattern": r.choice([{pick: 32}, {r"layers\.\d+\.mlp\..*": 1.5}, {"mlp.up_proj": 2}])},
        {"layers_to_transform": r.choice([0, 1, [0], [1], [0, 1], [], [7]])},
        {"layers_to_transform": [0], "layers_pattern": r.choice(["layers", ["layers"], "h", [], None])},
        {"layers_pattern": "layers"},
        {"exclude_modules": r.choice([["q_proj"], ["layers.0.self_attn.q_proj"], r".*\.0\..*", [pick], [], ""])},
        {"target_modules": r.choice(["all-linear", "ALL-LINEAR", r".*\.(q_proj|v_proj)", r".*self_attn\.[qk]_proj",
                                     r"model\.layers\.[01]\.mlp\.(?:gate|up)_proj", r"(?!.*mlp).*_proj",
                                     r"model\.layers\.\d+\.self_attn\..*?_proj", r".*\.q_proj$", "q_proj", "nothing",
                                     ".*(self_attn|mlp).*(q|k|v|o|gate|up|down)_proj", r"\w+\.layers\.\d{1,2}\..+"])},
        {"target_modules": r.choice([None, [], ["lm_head"], ["embed_tokens"], ["self_attn"], ["q_proj", "lm_head"],
                                     ["layers.0.mlp.up_proj"], ["nothing"], ["norm"], ["model.layers.1.mlp.up_proj"]])},
        {"modules_to_save": r.choice([["lm_head"], []])}, {"layer_replication": [[0, 1], [0, 2]]},
        {"alora_invocation_tokens": [17, 42]}, {"trainable_token_indices": [1, 2]}, {"fan_in_fan_out": True},
        {"target_parameters": ["self_attn.q_proj.weight"]}, {"task_type": r.choice([None, "SEQ_CLS"])},
        {"peft_type": r.choice(["IA3", "ADALORA"])}, {"no_such_field": 1}, {"use_qalora": True},
        {"loftq_config": {"loftq_bits": 4}}, {"lora_dropout": 0.5}, {"eva_config": {"rho": 2.0}},
    ]
    c.update(r.choice(fields))


def drop(c, r):
    for key in r.sample(["r", "lora_alpha", "target_modules", "init_lora_weights", "bias", "task_type"], 1):
        c.pop(key, None)


def shape_of(model, name):
    return next((tuple(p.shape) for n, p in model.named_parameters(remove_duplicate=False) if n == name + ".weight"), None)


def tensors(model, c, targets, rank, r, seed):
    """Pairs for the modules, at times for others, too, or with other names."""
    g = torch.Generator().manual_seed(seed)
    modules = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    out = {}
    for name in modules:
        if not any(name.endswith(t) for t in targets):
            continue
        rows, cols = shape_of(model, name)
        low = c.get("rank_pattern") and next(iter(c["rank_pattern"].items()))
        own = low[1] if low and r.random() < 0.8 and __import__("re").match(rf"(.*\.)?({low[0]})$", name) else rank
        out[f"base_model.model.{name}.lora_A.weight"] = torch.randn(own, cols, generator=g)
        out[f"base_model.model.{name}.lora_B.weight"] = torch.randn(rows, own, generator=g) * 0.05
    case = r.random()
    names = list(out)
    if case < 0.04:
        out = {k.replace(".weight", ".default.weight"): v for k, v in out.items()}
    elif case < 0.08:
        out = {k.removeprefix("base_model.model."): v for k, v in out.items()}
    elif case < 0.12 and names:
        out.pop(names[0]), out.pop(names[1])
    elif case < 0.15 and names:
        out[names[1].replace("weight", "bias")] = torch.randn(out[names[1]].shape[0], generator=g)
    elif case < 0.18:
        out["base_model.model.model.embed_tokens.lora_embedding_A"] = torch.randn(rank, configs.VOCAB, generator=g)
    elif case < 0.21:
        out["base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight"] = torch.randn(rank, 32, generator=g)
    return out


def reference(base, adapter):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    model = peft.PeftModel.from_pretrained(model, adapter).eval().double()
    with torch.no_grad():
        return model(input_ids=torch.tensor([IDS])).logits[0, -1].tolist()


def one(i, seed, counts):
    r = random.Random(seed * 7919 + i)
    family = list(configs.FAMILIES)[i % len(configs.FAMILIES)]
    plain = configs.base(family, r)
    c = usual(r)
    rank, targets = c["r"], list(c["target_modules"])
    before = dict(c)
    for _ in range(r.choice([0, 1, 1, 1, 2])):
        change(c, r, plain["num_hidden_layers"])
    if r.random() < 0.1:
        drop(c, r)
    if r.random() < 0.3:
        targets = list(set(targets + r.sample(LINEAR + ["lm_head"], 3)))  # more than the configuration covers
    elif isinstance(c.get("target_modules"), list) and r.random() < 0.5:
        targets = c["target_modules"]
    if not isinstance(c.get("target_modules", []), list):
        targets = LINEAR
    with tempfile.TemporaryDirectory() as base, tempfile.TemporaryDirectory() as adapter:
        write_tokenizer(base, configs.VOCAB)
        with open(os.path.join(base, "config.json"), "w") as f:
            json.dump(plain, f)
        with open(os.path.join(adapter, "adapter_config.json"), "w") as f:
            json.dump(c, f)
        configs.write_weights(base, plain, random.Random(i), i)
        model = AutoModelForCausalLM.from_pretrained(base)
        save_file(tensors(model, c, targets, rank, r, i), os.path.join(adapter, "adapter_model.safetensors"))
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                right, error = reference(base, adapter), None
        except Exception as e:
            right, error = None, f"reference: {type(e).__name__}: {str(e)[:80]}"
        ours, why = logits_of(base, configs.VOCAB, "--model", base, "--adapter", adapter)
    end, far = judge(ours, why, right)
    changed = {k: v for k, v in c.items() if before.get(k, "-") != v}
    counts.add(end, far, why or error,
               f"case {i}, {family}: {json.dumps(changed)} without {[k for k in before if k not in c]}, tensors {targets}")


def main():
    cases, seed = (int(sys.argv[1]) if len(sys.argv) > 1 else 300), (int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    counts = Counts(f"adapters against peft {peft.__version__}")
    for i in range(cases):
        one(i, seed, counts)
    return counts.finish(seed, os.environ.get("VERBOSE"))


if __name__ == "__main__":
    sys.exit(main())
