"""Makes tests/golden/changed/golden.json: python3 golden.py

A small part of what configs.py and adapters.py generate, for tests without Python: changes to the config.json of the
models in tests/golden/tiny, and adapters of them, with the logits that transformers and PEFT compute or the words with
which the program refuses.
"""
import json
import os
import shutil
import tempfile

import peft
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "golden")
IDS = [7, 30, 150, 9, 61, 200, 77, 5, 288, 21, 54, 13, 170, 12, 35, 66, 90, 11, 248, 29, 83, 17, 59, 40, 100, 33, 299, 8]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
NO_ROPE = {"rope_parameters": None}

# base, changes (null takes a field away from the file), the words of a refusal or None
CONFIGS = [
    ("llama", {"sliding_window": 5}, None),
    ("llama", {"query_pre_attn_scalar": 3, "hidden_activation": "relu", "use_sliding_window": True}, None),
    ("llama", {"rope_parameters": YARN}, None),
    ("llama", {"rope_parameters": {**YARN, "truncate": False}}, None),
    ("llama", {"rope_parameters": {**YARN, "beta_fast": 16, "beta_slow": 2, "mscale": 0.7, "mscale_all_dim": 1.2}}, None),
    ("llama", {"rope_parameters": {**YARN, "attention_factor": 1.3}, "original_max_position_embeddings": 32}, None),
    ("llama", {"rope_scaling": {"type": "linear", "factor": 3.0}}, None),
    ("llama", {**NO_ROPE, "rope_theta": 777.0}, None),
    ("llama", {"mlp_bias": True}, "'mlp_bias' is true"),
    ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "depend on the length of the prompt"),
    ("llama", {"logits_scaling": 8.0}, "'logits_scaling' is a field that this program does not know"),
    ("mistral", {"sliding_window": 7}, None),
    ("mistral", {"sliding_window": None}, None),
    ("mistral", {"layer_types": ["full_attention", "full_attention"]}, "'layer_types' is"),
    ("qwen2", {"sliding_window": 5, "max_window_layers": 0, "layer_types": None}, None),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1, "layer_types": None}, None),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 5, "layer_types": ["sliding_attention", "full_attention"]},
     None),
    ("qwen2", {"attention_bias": False}, None),
    ("qwen3", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0, "layer_types": None}, None),
    ("qwen3", {"hidden_act": "gelu_pytorch_tanh"}, None),
    ("gemma3", {"query_pre_attn_scalar": 11}, None),
    ("gemma3", {"query_pre_attn_scalar": None}, None),
    ("gemma3", {"layer_types": None, "sliding_window_pattern": 2, "_sliding_window_pattern": None}, None),
    ("gemma3", {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                                    "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}}, None),
    ("gemma3", {**NO_ROPE, "rope_theta": 2e5, "rope_local_base_freq": 300.0,
                "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, None),
    ("gemma3", {"final_logit_softcapping": 4.0}, "soft caps are not computed"),
]

Q, V, UP = "layers.{}.self_attn.q_proj", "layers.{}.self_attn.v_proj", "layers.{}.mlp.up_proj"
PLAIN = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
ADAPTERS = [
    ("llama", {}, [Q, V], None),
    ("llama", {"lora_alpha": None}, [Q, V], None),
    ("llama", {"use_rslora": True, "target_modules": None}, [Q, V, UP], None),
    ("llama", {"target_modules": ["v_proj"]}, [Q, V], None),
    ("llama", {"layers_to_transform": [1]}, [Q, V], None),
    ("llama", {"exclude_modules": ["layers.0.self_attn.q_proj"]}, [Q, V], None),
    ("llama", {"target_modules": r".*\.\d+\.(?:self_attn\.q|mlp\.up)_proj", "alpha_pattern": {"up_proj": 1}}, [Q, V, UP],
     None),
    ("qwen3", {"target_modules": "all-linear", "init_lora_weights": "gaussian"}, [Q, UP], None),
    ("gemma3", {}, [Q, V], None),
    ("llama", {"target_modules": ["q_proj", "lm_head"]}, [Q, "lm_head"], None),
    ("llama", {"r": 3}, [Q, V], "'r' is 3"),
    ("llama", {"init_lora_weights": "pissa"}, [Q, V], "'init_lora_weights' is 'pissa'"),
    ("llama", {"alora_invocation_tokens": [1]}, [Q, V], "'alora_invocation_tokens' is [1]"),
    ("llama", {"layer_replication": [[0, 1]]}, [Q, V], "'layer_replication' is"),
    ("llama", {"lora_bias": True}, [Q, V], "'lora_bias' is true"),
    ("llama", {"new_field": 1}, [Q, V], "'new_field' is a field that this program does not know"),
]


def value(k, i):
    """Element i of tensor k; tests/sim/changed.c computes the same."""
    return ((k * 31 + i * 17) % 23 - 11) / 64


def merge(plain, changes):
    return {**{k: v for k, v in plain.items() if k not in changes}, **{k: v for k, v in changes.items() if v is not None}}


def logits(folder, adapter=None):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model = peft.PeftModel.from_pretrained(model, adapter) if adapter else model
    with torch.no_grad():
        return [float(f"{x:.6g}") for x in model.eval()(input_ids=torch.tensor([IDS])).logits[0, -1].tolist()[:48]]


def with_config(base, changes, work):
    folder = shutil.copytree(os.path.join(GOLDEN, "tiny", base), os.path.join(work, "model"))
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    keep_null = {k: None for k, v in changes.items() if v is None and k == "sliding_window"}
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({**merge(config, changes), **keep_null}, f)
    return folder


def with_adapter(folder, changes, modules, work):
    adapter = os.path.join(work, "adapter")
    os.mkdir(adapter)
    with open(os.path.join(adapter, "adapter_config.json"), "w") as f:
        json.dump(merge(PLAIN, changes), f)
    model, out, listed = AutoModelForCausalLM.from_pretrained(folder), {}, []
    shapes = {n: tuple(p.shape) for n, p in model.named_parameters(remove_duplicate=False)}
    for name in modules:
        for layer in range(model.config.num_hidden_layers if "{}" in name else 1):
            module = ("model." if "{}" in name else "") + name.format(layer)
            rows, cols = shapes[module + ".weight"]
            for end, shape in (("A", (2, cols)), ("B", (rows, 2))):
                k, full = len(out), f"base_model.model.{module}.lora_{end}.weight"
                out[full] = torch.tensor([value(k, i) for i in range(shape[0] * shape[1])]).reshape(shape)
                listed.append([full, *shape])
    save_file(out, os.path.join(adapter, "adapter_model.safetensors"))
    return adapter, listed


def main():
    transformers.logging.set_verbosity_error()
    entries = []
    for base, changes, refused in CONFIGS:
        with tempfile.TemporaryDirectory() as work:
            entry = {"base": base, "config": changes}
            folder = with_config(base, changes, work)
            entry.update({"refused": refused} if refused else {"values": logits(folder)})
            entries.append(entry)
    for base, changes, modules, refused in ADAPTERS:
        with tempfile.TemporaryDirectory() as work:
            folder = with_config(base, {}, work)
            adapter, listed = with_adapter(folder, changes, modules, work)
            entry = {"base": base, "adapter": merge(PLAIN, changes), "tensors": listed}
            entry.update({"refused": refused} if refused else {"values": logits(folder, adapter)})
            entries.append(entry)
    with open(os.path.join(GOLDEN, "changed/golden.json"), "w") as f:
        f.write(json.dumps({"made_with": f"transformers {transformers.__version__}, peft {peft.__version__}", "ids": IDS,
                            "entries": 0})[:-2] + "[\n" + ",\n".join(json.dumps(e) for e in entries) + "\n]}\n")
    print(len(entries), "entries")


if __name__ == "__main__":
    main()
