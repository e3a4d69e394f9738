"""Generated tokenizer.json files: the Python library `tokenizers` against `blockattn tokenize --ids`.

    python tokenizer_files.py [PROGRAM] [--files 2000] [--seed 1] [--golden FILE] [--keep DIR]

Every file combines known steps, options of the model and of added tokens at random; the first ones are configurations as
models publish them. For each file, texts are tokenised by both. A file counts as `refused` if the program refuses it with
one line, and as `different` if any ids differ or the program does not end properly, which must not happen; as
`reference fails` if the library panics, refuses, or does not end. --golden writes the cases as a file for the test
suite, with the library's ids. --keep leaves the files that differ in a folder. Needs: tokenizers 0.23.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile

os.environ["RUST_BACKTRACE"] = "0"  # the library panics at some files, which is a refusal
try:
    import tokenizers
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
except ImportError as e:
    sys.exit(print(f"tokenizers: skipped, {e}"))

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
WORDS = """the model reads passages and answers How Fast block attention attn Zürich naïve Straße coöperate I'll we've THEY'RE
x's Москва привет ελληνικά 東京 日本語 한국어 العربية हिन्दी ไทย ǅ ﬁne İstanbul Ⅷ ½ ٣٤ ４２ 😀 👨‍👩‍👧 return self.value i++ => <div>
https://a.b/c?d=%20 3.14159 1,234 $12.50 snake_case camelCase a_b e\u0301 n\u0303\u0323 \u212b ▁ ▁▁x Ġ ## </w> ﷺ""".split()
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", ""]
MARKS = ["<s>", "</s>", "<unk>", "[MASK]", "<|im_end|>", "<tool>", "the", "Tool", " x ", "▁", "é"]
ADDED = ["<s>", "</s>", "[MASK]", "<|im_end|>", "<tool>", "<tool_call>", "the", "Tool", "x", "é", "ﬁ", "pass", "  "]


def text(rng):
    out = rng.choice(["", "", " ", "  ", "\n"])
    for _ in range(rng.randint(1, 7)):
        out += rng.choice(MARKS) if rng.random() < .15 else rng.choice(WORDS)
        out += " " if rng.random() < .5 else rng.choice(SPACES)
    return out


# ------------------------------------------------------------------------------------------------------ vocabularies

def train(pre, alphabet, rng, **options):
    t = Tokenizer(models.BPE(**options))
    t.pre_tokenizer = pre
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    lines = [" ".join(rng.choices(WORDS, k=9)) for _ in range(150)]
    t.train_from_iterator(lines, trainer)
    return json.loads(t.to_str())["model"]


def vocabularies(rng):
    """name -> (vocab, merges), each with room for special tokens in front."""
    letters = pre_tokenizers.ByteLevel.alphabet()
    made = {"bytes": train(pre_tokenizers.ByteLevel(add_prefix_space=False), letters, rng),
            "marks": train(pre_tokenizers.Metaspace(), [], rng), "words": train(pre_tokenizers.Whitespace(), [], rng)}
    out = {}
    for name, model in made.items():
        front = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] * (name == "marks")
        tokens = front + [t for t in model["vocab"] if t not in front]
        out[name] = tokens, [list(m) for m in model["merges"]]
    tokens, merges = out["words"]
    chars = sorted({c for t in tokens[3:] for c in t})
    pairs = [[a, b] for a, b in merges][:60]
    # GPT-1's and BERT's ways to write words: a mark at the end of a word, a mark on all symbols but the first.
    ends = [[a, b + "</w>"] for a, b in pairs] + pairs
    out["ends"] = (tokens[:3] + [c + e for c in chars for e in ("", "</w>")] + list(dict.fromkeys(a + b for a, b in ends)), ends)
    inner = [["##" + a, "##" + b] for a, b in pairs] + [[a, "##" + b] for a, b in pairs]
    joined = [a + b[2:] for a, b in inner]
    parts = [p for m in inner for p in m]
    out["inner"] = (list(dict.fromkeys(tokens[:3] + [e + c for c in chars for e in ("", "##")] + parts + joined)), inner)
    return {k: (list(dict.fromkeys(t)), m) for k, (t, m) in out.items()}


# ------------------------------------------------------------------------------------------------------------- steps

def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=True, trim=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": trim, "use_regex": regex}


def sequence(steps, name):
    return steps[0] if len(steps) == 1 else {"type": "Sequence", name: steps} if steps else None


BEHAVIOURS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
PATTERNS = [{"String": " "}, {"String": "▁"}, {"String": "a"}, {"String": ""}, {"String": "->"}, {"Regex": r"\s+"},
            {"Regex": r"\d"}, {"Regex": r"\p{N}{1,3}"}, {"Regex": "[aeiou]*"}, {"Regex": r"\w+|[^\w\s]+"}, {"Regex": "(?=x)"},
            {"Regex": LLAMA3}, {"Regex": QWEN2}, {"Regex": GPT4O}, {"Regex": r"[\r\n]"}, {"Regex": r"\p{Han}+"},
            {"Regex": r"(?<=\d)(?=\p{L})"}, {"Regex": r"[^\s]+|\s+(?!\S)"}, {"Regex": r"'s|'t| ?\p{L}+"}, {"Regex": "^ +| +$"}]


def normalizer(rng):
    kind = rng.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel", "Strip", "Strip",
                       "Prepend", "Prepend", "Replace", "Replace", "Replace", "BertNormalizer", "Precompiled"])
    flag = lambda: rng.random() < .5  # noqa: E731
    if kind == "Precompiled" and flag():
        kind = "NFC"
    extra = {
        "Strip": lambda: {"strip_left": flag(), "strip_right": flag()},
        "Prepend": lambda: {"prepend": rng.choice(["▁", " ", "x", "", "ab "])},
        "Replace": lambda: {"pattern": rng.choice(PATTERNS), "content": rng.choice(["▁", "", " ", "x", "ab"])},
        "BertNormalizer": lambda: {"clean_text": flag(), "handle_chinese_chars": flag(),
                                   "strip_accents": rng.choice([None, True, False]), "lowercase": flag()},
        "Precompiled": lambda: {"precompiled_charsmap": "ALQCAACEAAAA"}}
    return {"type": kind, **extra.get(kind, dict)()}


def pre_tokenizer(rng):
    kind = rng.choice(["ByteLevel", "ByteLevel", "Metaspace", "Metaspace", "Metaspace", "Whitespace", "WhitespaceSplit",
                       "UnicodeScripts", "Digits", "Digits", "Punctuation", "Split", "Split", "Split",
                       "CharDelimiterSplit", "BertPreTokenizer", "FixedLength"])
    flag = lambda: rng.random() < .5  # noqa: E731
    extra = {
        "ByteLevel": lambda: byte_level(flag(), flag(), flag()),
        "Metaspace": lambda: {"replacement": rng.choice(["▁", "▁", "▁", "_"]),
                              "prepend_scheme": rng.choice(["always", "first", "never"]), "split": flag()},
        "Digits": lambda: {"individual_digits": flag()},
        "Punctuation": lambda: {"behavior": rng.choice(BEHAVIOURS)},
        "Split": lambda: split(rng.choice(PATTERNS), rng.choice(BEHAVIOURS), flag()),
        "CharDelimiterSplit": lambda: {"delimiter": rng.choice([" ", "a", "▁"])},
        "FixedLength": lambda: {"length": rng.randint(1, 5)}}
    return {"type": kind, **extra.get(kind, dict)()}


def pipeline(rng, kind):
    """Steps that suit the vocabulary, as published files have them, with others mixed in."""
    normal = [normalizer(rng) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    pre = [pre_tokenizer(rng) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    if kind == "bytes":
        at = rng.randint(0, len(pre)) if rng.random() < .3 else len(pre)
        pre.insert(at, byte_level(rng.random() < .3, rng.random() < .6))
    elif kind == "marks" and rng.random() < .7:
        if rng.random() < .5:
            normal += [{"type": "Prepend", "prepend": "▁"},
                       {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}][rng.randint(0, 1):]
        else:
            pre.append({"type": "Metaspace", "replacement": "▁",
                        "prepend_scheme": rng.choice(["always", "first", "never"]), "split": rng.random() < .5})
    elif kind in ("words", "ends", "inner") and rng.random() < .7:
        pre.insert(0, {"type": rng.choice(["Whitespace", "WhitespaceSplit", "BertPreTokenizer"])})
    return normal, pre


def added_tokens(rng, tokens, some):
    have, out = {t: i for i, t in enumerate(tokens)}, []
    chosen = [t for t in some if rng.random() < .45]
    rng.shuffle(chosen)
    following = len(tokens)
    for content in chosen:
        special = content.startswith("<") or rng.random() < .3
        flag = lambda p: rng.random() < p  # noqa: E731
        out.append({"id": have.get(content, following), "content": content, "single_word": flag(.25), "lstrip": flag(.25),
                    "rstrip": flag(.25), "normalized": not special if flag(.7) else flag(.5), "special": special})
        following += content not in have
    return sorted(out, key=lambda t: t["id"]) if rng.random() < .8 else out


def generated(rng, vocabs):
    kind = rng.choice(["bytes", "bytes", "bytes", "marks", "marks", "marks", "words", "ends", "inner"])
    tokens, merges = vocabs[kind]
    dropped = rng.random() < .3
    if dropped:  # some tokens that no merge needs are missing
        needed = {p for m in merges for p in (*m, m[0] + m[1].removeprefix("##" if kind == "inner" else ""))}
        tokens = [t for t in tokens if t in needed or t == "<unk>" or rng.random() < .8]
    normal, pre = pipeline(rng, kind)
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>" if rng.random() < .5 else None,
             "continuing_subword_prefix": "##" if kind == "inner" else None,
             "end_of_word_suffix": "</w>" if kind == "ends" else None, "fuse_unk": rng.random() < .5,
             "byte_fallback": kind == "marks" and rng.random() < .8, "ignore_merges": rng.random() < .3,
             "vocab": {t: i for i, t in enumerate(tokens)},
             "merges": merges if rng.random() < .5 or any(" " in p for m in merges for p in m) else [" ".join(m) for m in merges]}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens(rng, tokens, ADDED),
            "normalizer": sequence(normal, "normalizers"), "pre_tokenizer": sequence(pre, "pretokenizers"),
            "post_processor": None, "decoder": None, "model": model}


# --------------------------------------------------------------------------------------------- as models publish them

def published(vocabs):
    """name -> file, with a small vocabulary in place of the model's."""
    def special(content, number, **flags):
        return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True, **flags}

    def file(kind, normal, pre, added=(), **options):
        tokens, merges = vocabs[kind]
        number = {t: i for i, t in enumerate(tokens)}
        rest = len(tokens)
        listed = []
        for content, flags in added:
            listed.append(special(content, number.get(content, rest), **flags))
            rest += content not in number
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                 "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                 **options, "vocab": number, "merges": merges}
        return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": listed,
                "normalizer": sequence(normal, "normalizers"), "pre_tokenizer": sequence(pre, "pretokenizers"),
                "post_processor": None, "decoder": None, "model": model}

    to_marks = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    prepend = {"type": "Prepend", "prepend": "▁"}
    spm = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}
    ends = [("<unk>", {}), ("<s>", {}), ("</s>", {})]
    chat = [("<|im_start|>", {}), ("<|im_end|>", {})]
    user = {"special": False}
    meta = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    gemma = ends + [("\n\n", user), ("▁▁", user), ("▁▁▁", user), ("\t", user), ("<table>", user), ("[@BOS@]", user)]
    no_regex = byte_level(regex=False)
    digits = {"type": "Digits", "individual_digits": True}
    return {
        "llama-2": file("marks", [prepend, to_marks], [], ends, **spm),
        "llama-2, older": file("marks", [prepend, to_marks], [], [(t, {"normalized": True}) for t, _ in ends], **spm),
        "llama-2, metaspace": file("marks", [], [meta], ends, **spm),
        "mistral-v1": file("marks", [prepend, to_marks], [], ends, **spm),
        "mistral-v3": file("marks", [], [meta], ends + [("[INST]", {}), ("[/INST]", {})], **spm),
        "mistral-nemo": file("bytes", [], [split({"Regex": GPT4O}), no_regex], ends + [("[INST]", {})], ignore_merges=True),
        "phi-3": file("marks", [prepend, to_marks], [], ends + [("<|end|>", {"rstrip": True}), ("<|user|>", {"rstrip": True}),
                      ("</s>", {"rstrip": True, "special": False})][:-1], **spm),
        "gemma": file("marks", [to_marks], [], gemma, **spm),
        "gemma-2": file("marks", [to_marks], [split({"String": " "}, "MergedWithPrevious")], gemma, **spm),
        "gemma-3": file("marks", [to_marks], [split({"String": " "}, "MergedWithPrevious")],
                        gemma + [("<image_soft_token>", {})], **spm),
        "llama-3": file("bytes", [], [split({"Regex": LLAMA3}), no_regex], [("<|begin_of_text|>", {}), ("<|eot_id|>", {})],
                        ignore_merges=True),
        "llama-4": file("bytes", [], [split({"Regex": GPT4O}), no_regex], [("<|begin_of_text|>", {})]),
        "qwen2": file("bytes", [{"type": "NFC"}], [split({"Regex": QWEN2}), no_regex], [("<|endoftext|>", {})] + chat),
        "qwen3": file("bytes", [{"type": "NFC"}], [split({"Regex": QWEN2}), no_regex],
                      chat + [("<think>", user), ("</think>", user), ("<tool_call>", user)]),
        "gpt-2": file("bytes", [], [byte_level()], [("<|endoftext|>", {"normalized": True})]),
        "smollm2": file("bytes", [], [digits, byte_level()], [("<|endoftext|>", {})] + chat, unk_token="<unk>"),
        "falcon": file("bytes", [], [{"type": "Punctuation", "behavior": "Contiguous"}, byte_level(),
                       {"type": "Digits", "individual_digits": False}, split({"Regex": "[0-9][0-9][0-9]"})],
                       [(">>TITLE<<", {}), ("<|endoftext|>", {})]),
        "gpt-1": file("ends", [{"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                      "strip_accents": True, "lowercase": True}], [{"type": "BertPreTokenizer"}], ends[:1],
                      unk_token="<unk>", end_of_word_suffix="</w>"),
        "deepseek-v3": file("bytes", [], [split({"Regex": r"\p{N}{1,3}"}), split({"Regex": "[一-龥぀-ゟ゠-ヿ]+"}),
                            split({"Regex": r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                                   r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"}), no_regex],
                            [("<｜begin▁of▁sentence｜>", {}), ("<｜User｜>", user)]),
        "starcoder": file("bytes", [], [digits, byte_level()], [("<fim_prefix>", {})]),
        "roberta-like": file("bytes", [], [byte_level(True)], [("<s>", {}), ("<mask>", {"lstrip": True})]),
    }


# -------------------------------------------------------------------------------------------------------- comparison

MEMORY, SECONDS = 2 << 30, 20  # of each side, for one file: a text that grows without end is no answer


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def right(file, texts):
    """Ids of the library, or why there are none. It runs in a process of its own: with an added token of which
    normalisation leaves nothing, it takes memory without end."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        limit()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where it panics, it says so
        with os.fdopen(write, "w") as f:
            json.dump(ids_of(file, texts), f)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as f:
        answer = f.read()
    os.waitpid(child, 0)
    return json.loads(answer) if answer else f"the library does not end within {MEMORY >> 30} GiB and {SECONDS} s"


def ids_of(file, texts):
    try:
        t = Tokenizer.from_str(json.dumps(file))
        out = []
        control = {a["id"] for a in file["added_tokens"] if a["special"] and a["content"] != "<unk>"}
        for special, line in texts:
            t.encode_special_tokens = not special
            out.append(t.encode(line, add_special_tokens=False).ids)
            # The program never makes a special token of plain text; the library does where it is also an ordinary one.
            if not special and set(out[-1]) & control:
                out[-1] = None
        return out
    except BaseException as e:  # it panics, too
        return f"{type(e).__name__}: {e}"


def run(program, folder, special, line):
    done = subprocess.run([program, "tokenize", "--ids", *(["--special"] * special), "--model", str(folder), "--quiet"],
                          input=line.encode(), capture_output=True, preexec_fn=limit)
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode < 0 or (done.returncode and (not said or "\n" in said)):
        return {"status": done.returncode, "said": said}
    if done.returncode:
        return said
    return json.loads(done.stdout)


def compare(program, folder, file, texts, expected):
    """What the program makes of one file: (verdict, detail)."""
    size = max([*file["model"]["vocab"].values(), *(t["id"] for t in file["added_tokens"])]) + 1
    (folder / "config.json").write_text(json.dumps(config(size)))
    (folder / "tokenizer.json").write_text(json.dumps(file))
    for (special, line), ids in zip(texts, expected if isinstance(expected, list) else [None] * len(texts)):
        got = run(program, folder, special, line)
        if isinstance(got, str):
            return "refused", got
        if not isinstance(expected, list) and not isinstance(got, dict):
            return "reference fails", expected
        if isinstance(got, dict) or (ids is not None and got != ids):
            return "different", f"special={special} {line!r}\n   right {ids}\n   got   {got}"
    return "equal", ""


def config(size):
    return {"model_type": "llama", "vocab_size": size, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
            "rope_theta": 10000.0, "head_dim": 8}


def cases(seed, files):
    rng = random.Random(seed)
    vocabs = vocabularies(rng)
    for name, file in published(vocabs).items():
        yield name, file, [(i % 4 != 3, text(rng)) for i in range(16)]
    for i in range(files):
        yield f"seed {seed}, file {i}", generated(rng, vocabs), [(k != 3, text(rng)) for k in range(4)]


def golden(path, seed, files):
    """Cases for tests/sim/tokenizer_files.c, one JSON object a line: first the vocabularies, then files that name theirs
    and the tokens of it that they leave out, with texts and the library's ids."""
    vocabs = vocabularies(random.Random(seed))
    lines = [{"vocabulary": name, "tokens": tokens, "merges": [" ".join(m) for m in merges]}
             for name, (tokens, merges) in vocabs.items()]
    picked = 0
    for name, file, texts in cases(seed, files * 3):
        known = right(file, texts)
        have = file["model"]["vocab"]
        kind = max(vocabs, key=lambda k: len(have.keys() & set(vocabs[k][0])) - len(have.keys() - set(vocabs[k][0])) * 1000)
        if picked == files or isinstance(known, str):
            continue
        picked += 1
        file["model"] = {**file["model"], "vocab": kind, "merges": kind}
        without = [i for i, t in enumerate(vocabs[kind][0]) if t not in have]
        kept = [[special, line, ids] for (special, line), ids in zip(texts, known) if ids is not None]
        lines.append({"name": name, "without": without, "file": file, "texts": kept[:6]})
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    print(f"{picked} cases in {path}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program", nargs="?", default=os.environ.get("BLOCKATTN", "build/blockattn"))
    p.add_argument("--files", type=int, default=2000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--golden")
    p.add_argument("--keep")
    o = p.parse_args()
    if o.golden:
        return golden(o.golden, o.seed, o.files)
    count, why, wrong = collections.Counter(), collections.Counter(), 0
    with tempfile.TemporaryDirectory() as scratch:
        for name, file, texts in cases(o.seed, o.files):
            folder = pathlib.Path(scratch)
            expected = right(file, texts)
            verdict, detail = compare(o.program, folder, file, texts, expected)
            count[verdict] += 1
            if verdict == "refused":
                why[detail.split("tokenizer.json: ")[-1][:90]] += 1
            if not name.startswith("seed") and verdict != "equal":
                print(f"{name}: {verdict}: {detail}")
            elif verdict == "different" and (wrong := wrong + 1) <= 20:
                print(f"{name}: {detail}")
                print("  ", json.dumps({k: v for k, v in file.items() if k in ("normalizer", "pre_tokenizer")}, ensure_ascii=False))
                print("  ", json.dumps({k: v for k, v in file["model"].items() if k not in ("vocab", "merges")}))
                print("  ", json.dumps(file["added_tokens"], ensure_ascii=False))
                if o.keep:
                    shutil.copytree(folder, pathlib.Path(o.keep) / name.replace(" ", "-"), dirs_exist_ok=True)
    print(f"tokenizers {tokenizers.__version__}, seed {o.seed}: " + ", ".join(f"{n} {v}" for v, n in sorted(count.items())))
    for reason, n in why.most_common(12):
        print(f"   refused {n}: {reason}")
    return 1 if count["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
