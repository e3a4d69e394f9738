"""Makes tiny/ARCH: a random model of every supported architecture as a Hugging Face folder, and its golden logits.

    tiny_arch.py [ARCH ...]

Seeds are fixed. Weights are far larger than an initialised model's, so that every part moves the logits: norms, biases,
both rope bases, the window. transformers computes in fp32 what the rounded files hold; block attention is a 4-D mask
with explicit positions, cut to the window (by position) in sliding layers.
"""
import json
import os
import shutil
import sys

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import (Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config,
                          AutoModelForCausalLM)

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB = 320
TEXT = "the quick brown fox jumps over the lazy dog in the house of the rising sun and there is no end of it "
SPECIAL = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)
SMALL = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=512, **SPECIAL)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}

# folder: (configuration, stored as, byte-level vocabulary?, size of a shard)
ARCHS = {
    "llama": (LlamaConfig(**SMALL, tie_word_embeddings=False, rope_parameters=LLAMA3), torch.bfloat16, True, "100KB"),
    "mistral": (MistralConfig(**SMALL, tie_word_embeddings=False, sliding_window=24, head_dim=16,
                              rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
                torch.float16, False, "1GB"),
    "qwen2": (Qwen2Config(**{**SMALL, "hidden_size": 32}, tie_word_embeddings=True,
                          rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
              torch.float32, True, "1GB"),
    "qwen3": (Qwen3Config(**SMALL, tie_word_embeddings=True, head_dim=32,
                          rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
              torch.bfloat16, True, "1GB"),
    "gemma3": (Gemma3TextConfig(**{**SMALL, "hidden_size": 32, "num_hidden_layers": 6, "intermediate_size": 64,
                                   "num_key_value_heads": 1}, head_dim=16, query_pre_attn_scalar=24, sliding_window=16,
                                layer_types=["sliding_attention"] * 5 + ["full_attention"]),
               torch.bfloat16, False, "1GB"),
}


def byte_level_tokenizer():
    """Three control tokens, 256 bytes, then merges taken greedily from TEXT."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {t: i for i, t in enumerate(["<pad>", "<s>", "</s>"] + alphabet)}
    merges = learn(vocab, [list(w) for w in TEXT.replace(" ", " \u0120").split()])
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(t, special=True) for t in ("<pad>", "<s>", "</s>")])
    return tok


def sentencepiece_tokenizer():
    """Four control tokens, 256 byte tokens, letters, merges; a space is U+2581, the unknown falls back to bytes."""
    letters = sorted(set(TEXT.replace(" ", "\u2581")))
    pieces = ["<pad>", "<s>", "</s>", "<unk>"] + ["<0x%02X>" % b for b in range(256)] + letters
    vocab = {t: i for i, t in enumerate(pieces)}
    merges = learn(vocab, [list(w) for w in TEXT.replace(" ", " \u2581").split()])
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tok.normalizer = normalizers.Replace(" ", "\u2581")
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tok.add_special_tokens([AddedToken(t, special=True) for t in ("<pad>", "<s>", "</s>", "<unk>")])
    return tok


def learn(vocab, words):
    """Byte-pair merges until the vocabulary is full; fills vocab. Ties go to the pair that sorts first."""
    merges = []
    while len(vocab) < VOCAB:
        count = {}
        for w in words:
            for pair in zip(w, w[1:]):
                count[pair] = count.get(pair, 0) + 1
        if not count:
            break
        pair = min(count, key=lambda p: (-count[p], p))
        merges.append(pair)
        vocab.setdefault("".join(pair), len(vocab))
        words = [merge(w, pair) for w in words]
    while len(vocab) < VOCAB:
        vocab["<unused%d>" % len(vocab)] = len(vocab)
    return merges


def merge(word, pair):
    out = []
    for piece in word:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def requests(generator):
    """Random ids; lengths go past every window, with a one-token and a repeated passage."""
    def ids(n):
        return torch.randint(4, VOCAB, (n,), generator=generator).tolist()

    again = ids(11)
    return [
        {"name": "unequal", "ids": [ids(3), ids(29), ids(1), ids(17), ids(9)],
         "roles": ["system", "passage", "passage", "passage", "question"]},
        {"name": "repeated", "ids": [again, ids(5), again, ids(4)], "roles": ["passage"] * 3 + ["question"]},
    ]


def logits(model, request, block):
    ids = sum(request["ids"], [])
    n, last = len(ids), len(request["ids"][-1])
    positions = torch.arange(n)
    visible = torch.ones(n, n).tril().bool()
    if block:
        owner = torch.cat([torch.full((len(s),), i) for i, s in enumerate(request["ids"])])
        visible &= (owner[:, None] == owner) | (positions >= n - last)[:, None]
    window = getattr(model.config, "sliding_window", None) or n
    near = positions[:, None] - positions < window

    def mask(allowed):
        return torch.zeros(n, n).masked_fill(~allowed, torch.finfo(torch.float32).min)[None, None]

    if model.config.model_type == "gemma3_text":
        given = {"full_attention": mask(visible), "sliding_attention": mask(visible & near)}
    else:
        given = mask(visible & near if model.config.model_type == "mistral" else visible)
    return model(input_ids=torch.tensor([ids]), position_ids=positions[None], attention_mask=given,
                 use_cache=False).logits[0, -1]


def result(mode, request, row):
    top = torch.topk(row.double(), 64)
    return {"mode": mode, "prompt": request["name"], "n_tokens": sum(map(len, request["ids"])),
            "ids": top.indices.tolist(), "values": [round(v, 5) for v in top.values.tolist()],
            "logsumexp": round(float(torch.logsumexp(row.double(), -1)), 6)}


def main(names):
    for name in names or ARCHS:
        config, dtype, byte_level, shard = ARCHS[name]
        folder = os.path.join(HERE, "tiny", name)
        shutil.rmtree(folder, ignore_errors=True)
        generator = torch.Generator().manual_seed(2409 + list(ARCHS).index(name))
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for key, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.dim() == 1:  # gains lie around 1, which gemma stores as 0; biases around 0
                p.data = noise * 0.3 + float("norm" in key and name != "gemma3")
            else:
                p.data = noise * 1.5 / p.shape[1] ** 0.5
        model.tie_weights()
        model.to(dtype).save_pretrained(folder, max_shard_size=shard)
        tokenizer = byte_level_tokenizer() if byte_level else sentencepiece_tokenizer()
        tokenizer.save(os.path.join(folder, "tokenizer.json"))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        asked, results = requests(generator), []
        for request in asked:
            plain = model(input_ids=torch.tensor([sum(request["ids"], [])]), use_cache=False).logits[0, -1]
            full = logits(model, request, False)
            assert (plain - full).abs().max() < 1e-4, "the explicit mask is not the model's own"
            results += [result("full", request, plain), result("block", request, logits(model, request, True))]
        shards = [os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".safetensors")]
        for shard_path in shards:
            os.chmod(shard_path, 0o644)
        with open(os.path.join(folder, "golden.json"), "w") as f:
            lines = lambda rows: ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows)
            f.write('{"requests": [\n%s\n], "results": [\n%s\n]}\n' % (lines(asked), lines(results)))
        print("%-8s %7d bytes of weights" % (name, sum(map(os.path.getsize, shards))))


if __name__ == "__main__":
    with torch.no_grad():
        main(sys.argv[1:])
