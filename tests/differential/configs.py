#!/usr/bin/env python3
"""Generated config.json files against transformers: python3 tests/differential/configs.py [CASES [SEED]]

Tiny models of five architectures with random weights, and fields that published files have, also where they do not
belong. Needs torch, transformers and safetensors; without them it says so and is skipped. Exit status 1: a difference.
"""
import copy
import json
import os
import random
import sys
import tempfile

try:
    import torch
    import transformers
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM
except ImportError as e:
    print(f"configs: skipped, Python has no {e.name}")
    sys.exit(0)

from harness import IDS, Counts, judge, logits_of, write_tokenizer

VOCAB = 97
FAMILIES = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma3_text": "Gemma3"}


def base(family, r):
    c = {"model_type": family, "architectures": [FAMILIES[family] + "ForCausalLM"], "vocab_size": VOCAB,
         "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": r.choice([2, 3]), "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
         "rope_theta": r.choice([1e4, 1e6, 500000]), "tie_word_embeddings": r.random() < 0.5, "bos_token_id": 1,
         "eos_token_id": 2, "torch_dtype": "float32", "use_cache": True, "initializer_range": 0.02}
    if family == "gemma3_text":
        c.update(hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=r.choice([8, 12, 256]), sliding_window=7,
                 num_hidden_layers=7)
        if r.random() < 0.5:
            c["rope_local_base_freq"] = r.choice([1e4, 2e4])
    else:
        c["hidden_act"] = "silu"
    return c


def rope(r, nested=False):
    kind = r.choice(["default", "linear", "llama3", "yarn", "yarn", "yarn", "dynamic", "longrope"])
    d = {r.choice(["rope_type", "rope_type", "type"]): kind}
    if r.random() < 0.1:
        d["type"] = r.choice(["linear", "default"])
    if kind != "default" or r.random() < 0.2:
        d["factor"] = r.choice([2, 4.0, 8, 1, 0.5])
    if kind == "llama3":
        d.update(low_freq_factor=1.0, high_freq_factor=4.0)
    if kind in ("llama3", "yarn") and r.random() < 0.8:
        d["original_max_position_embeddings"] = r.choice([32, 64, 256])
    if kind == "longrope":
        d.update(short_factor=[1.0] * 4, long_factor=[2.0] * 4)
    if kind == "yarn":
        for key, values in [("beta_fast", [32, 16, 0, None]), ("beta_slow", [1, 2, 0, None]),
                            ("mscale", [1.0, 0.7, 0]), ("mscale_all_dim", [0.5, 1.0]),
                            ("attention_factor", [1.25, None]), ("truncate", [True, False, None])]:
            if r.random() < 0.35:
                d[key] = r.choice(values)
    if r.random() < 0.4:
        d["rope_theta"] = r.choice([1e4, 2e4, 1e6])
    if r.random() < 0.05:
        d["partial_rotary_factor"] = r.choice([1.0, 0.5])
    return d


def change_ropes(c, r):
    """rope_scaling, rope_parameters, both, nested or not."""
    for key in ("rope_scaling", "rope_parameters"):
        if r.random() < 0.6:
            c[key] = rope(r)
            if r.random() < (0.7 if c["model_type"] == "gemma3_text" and key == "rope_parameters" else 0.08):
                c[key] = {k: rope(r) for k in ("full_attention", "sliding_attention") if r.random() < 0.85}
    if r.random() < 0.3:
        c.pop("rope_theta", None)
    if r.random() < 0.15:
        c["original_max_position_embeddings"] = r.choice([32, 128])


def change_windows(c, r):
    n = c["num_hidden_layers"]
    for key, values in [("sliding_window", [4, 7, 16, None]), ("use_sliding_window", [True, True, False]),
                        ("max_window_layers", [0, 1, 2, 28]), ("sliding_window_pattern", [2, 3, 6]),
                        ("_sliding_window_pattern", [2, 6]),
                        ("layer_types", [[r.choice(["full_attention", "sliding_attention"]) for _ in range(n)],
                                         ["full_attention"] * n, ["sliding_attention"] * n, ["full_attention"]])]:
        if r.random() < 0.5:
            c[key] = r.choice(values)


def change_heads(c, r):
    key = r.choice(["head_dim", "num_key_value_heads", "num_attention_heads", "rms_norm_eps", "intermediate_size"])
    if r.random() < 0.4:
        c.pop(key, None) if r.random() < 0.5 else c.update({key: None})
    else:
        c[key] = {"head_dim": r.choice([4, 16]), "num_key_value_heads": r.choice([1, 4]), "num_attention_heads": 8,
                  "rms_norm_eps": 1e-3, "intermediate_size": 40}[key]


def change_activation(c, r):
    key = r.choice(["hidden_act", "hidden_activation"])
    c[key] = r.choice(["silu", "gelu_pytorch_tanh", "gelu", "relu", "swish", "gelu_new"])


def change_switches(c, r):
    for key, value in r.sample([("attention_bias", True), ("mlp_bias", True), ("attention_bias", False),
                                ("query_pre_attn_scalar", 20), ("attn_logit_softcapping", 5.0),
                                ("final_logit_softcapping", 3.0), ("final_logit_softcapping", None),
                                ("use_bidirectional_attention", True), ("partial_rotary_factor", 0.5),
                                ("partial_rotary_factor", 1.0), ("rope_interleaved", False),
                                ("rope_local_base_freq", 5e3), ("tie_word_embeddings", None)], 2):
        c[key] = value


def change_unknown(c, r):
    c[r.choice(["residual_multiplier", "logits_scaling", "embedding_multiplier", "clip_qkv", "no_such_field"])] = 2.0


def change_harmless(c, r):
    c.update(r.choice([{"pretraining_tp": 4}, {"attention_dropout": 0.1}, {"temperature": 0.5, "top_p": 0.9},
                       {"_name_or_path": "x"}, {"transformers_version": "4.40.0"}, {"id2label": {"0": "A"}}]))


CHANGES = [change_ropes, change_ropes, change_windows, change_windows, change_heads, change_activation, change_switches,
           change_unknown, change_harmless]


def write_weights(folder, c, r, seed):
    """Weights that fit what the reference makes of the file; large ones, so that every part moves the logits."""
    config = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(config)
    g = torch.Generator().manual_seed(seed)
    state = {}
    for name, t in model.state_dict().items():
        x = torch.randn(t.shape, generator=g)
        state[name] = (1 + 0.3 * x if name.endswith("norm.weight") else
                       0.5 * x if name.endswith("bias") else x * (1.5 / t.shape[-1] ** 0.5 if t.dim() > 1 else 1))
    state = {k: v.contiguous() for k, v in state.items()}
    case = r.random()
    if config.tie_word_embeddings:
        if case < 0.7:
            del state["lm_head.weight"]
        elif case < 0.85:
            state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    if case < 0.05 and "model.layers.0.self_attn.q_proj.bias" not in state:
        for i in range(c["num_hidden_layers"]):
            for p in "qkv":
                rows = state[f"model.layers.{i}.self_attn.{p}_proj.weight"].shape[0]
                state[f"model.layers.{i}.self_attn.{p}_proj.bias"] = torch.randn(rows, generator=g)
    if 0.9 < case and config.model_type != "qwen2":  # a bias that the reference then leaves at zero
        state = {k: v for k, v in state.items() if not k.endswith("o_proj.bias")}
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def reference(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0, -1].tolist()


def one(i, seed, counts):
    r = random.Random(seed * 1000003 + i)
    family = list(FAMILIES)[i % len(FAMILIES)]
    plain = base(family, r)
    c = copy.deepcopy(plain)
    for change in r.sample(CHANGES, r.choice([0, 1, 1, 2, 2, 3])):
        change(c, r)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config.json")
        write_tokenizer(folder, VOCAB)
        with open(path, "w") as f:
            json.dump(c, f)
        try:
            write_weights(folder, c, r, i)
            right, error = reference(folder), None
        except Exception as e:  # the reference has no answer; the program gets the weights of the plain file
            right, error = None, f"reference: {type(e).__name__}: {str(e)[:80]}"
            with open(path, "w") as f:
                json.dump(plain, f)
            write_weights(folder, plain, r, i)
            with open(path, "w") as f:
                json.dump(c, f)
        ours, why = logits_of(folder, VOCAB, "--model", folder)
    end, far = judge(ours, why, right)
    changed = {k: v for k, v in c.items() if plain.get(k, "-") != v}
    gone = [k for k in plain if k not in c]
    counts.add(end, far, why or error, f"case {i}, {family}: {json.dumps(changed)}" + (f" without {gone}" if gone else ""))


def main():
    cases, seed = (int(sys.argv[1]) if len(sys.argv) > 1 else 300), (int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    counts = Counts(f"config.json against transformers {transformers.__version__}")
    for i in range(cases):
        one(i, seed, counts)
    return counts.finish(seed, os.environ.get("VERBOSE"))


if __name__ == "__main__":
    sys.exit(main())
