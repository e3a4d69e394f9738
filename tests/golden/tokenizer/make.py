#!/usr/bin/env python3
"""Makes the golden files of the tokenizers, from the Python libraries that the models were made with.

    python make.py SmolLM2-135M-Instruct.Q4_1.gguf      (needs: gguf, tokenizers, sentencepiece, protobuf)

smollm.txt uses the model's own vocabulary, which is not repeated there; the other files carry a small one, trained here.

A file is text. Its first lines say what vocabulary it is about, the others are cases:
    pre NAME            pre-tokeniser family; absent for SentencePiece
    prefix              a space is put before the text
    unk ID
    v TYPE SCORE TEXT   a token, in the order of ids; TYPE as in GGUF (1 normal, 2 unknown, 3 control, 4 user, 6 byte)
    m TEXT              a merge, in the order of ranks
    t IDS|TEXT          ids of the text, control tokens not parsed
    s IDS|TEXT          the same, control tokens parsed
TEXT is UTF-8 with backslash escapes \\\\ and \\xNN, the latter for control characters and for bytes that are no UTF-8.

What is no UTF-8 has no ids in Python. The rule of the program is: an invalid byte is a token by itself, and text ends
before it and begins after it. So the parts are encoded one by one here, too.
"""
import pathlib
import random
import re
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
USER = ["<tool>", "<tool_call>", "<tool", "  \t"]

# ---------------------------------------------------------------------------------------------------------- lines

WORDS = """the of Zürich and naïve fox jumps over lazy dogs Straße coöperate I'll we've THEY'RE don't it's O'Brien x's
Москва привет мир ελληνικά λόγος 東京 日本語 漢字かな交じり 中文字符 한국어 안녕하세요 العربية مرحبا עברית שלום हिन्दी नमस्ते ไทย
สวัสดี বাংলা தமிழ் ქართული հայերեն አማርኛ ᏣᎳᎩ ভাষা монгол ǅ ﬁne ſtone İstanbul ıçki Ⅷ ½⅓ ٣٤ ４２ ৪৫ 二十 𝟘𝟙𝟚 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈𐌰 😀 🎉🎊
return self.value int main(void) { printf("%d\\n", x[i]++); } => != === -> :: // /* */ <div> </div> &nbsp; {{name}}
https://example.org/a?b=c&d=%20#frag user@host.tld C:\\Users\\x /usr/lib/x86_64 v1.2.3-rc4 0xDEADBEEF 1e-10 3.14159 1,234,567.89
$12.50 €99 ¥1000 50% #hashtag @name 12:30:45 2024-02-29 +1(555)010-9999 camelCase snake_case SCREAMING_CASE kebab-case""".split()
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", " \t ", "\u00a0", "\u2003", "\u3000", "\u2028",
          "\u2029", "\u0085", "\u1680", "\u202f", "\u200b", "\u200d", "\ufeff", "\v", "\f", "\x1c", "    \n    ",
          "\n\n\n", "        "]
NUMBERS = ["0", "7", "42", "123", "1234", "12345678901234567890", "٣٤٥", "½", "Ⅷ", "²³", "௰", "①②", "𝟗", "〇", "3rd",
           "1st2nd", "x2y3"]
CONTRACTIONS = ["'s", "'S", "'t", "'T", "'re", "'RE", "'Re", "'ve", "'VE", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D",
                "'ſ", "''s", "'x", "' s", "’s", "'sx", "'LLama", "'v", "'l", "'"]
MARKS = ["e\u0301", "n\u0303", "o\u0308\u0323", "\u0915\u093f", "a\u20dd", "\u0301", "👨\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈",
         "🇨🇭🇯🇵", "👍🏽", "☎️", "1️⃣", "각", "\u1112\u1161\u11ab", "Å", "A\u030a", "\u212b", "ﬃ", "ẛ\u0323"]
LOOKALIKES = CONTROL + USER + ["<|im_end", "|im_end|>", "<|im_start|>user\nhi<|im_end|>\n", "<s>", "</s>", "<unk>",
                               "<0x41>", "<0x0A>", "<|im_end|><|im_end|>", "<tool_calls>", "<tool ", "<table>", "</td>"]
INVALID = [b"\xff", b"\xc3", b"\xe2\x82", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\x80\x80", b"\xf5\x80\x80\x80",
           b"\xfe\xfe", b"\xe9t\xe9", b"\xf4\x90\x80\x80"]
ODD = ["\x00", "\x01\x02", "\x7f", "\u00ad", "\u0378", "\ue000", "\U000e0001", "\uffff", "\U0010ffff", "…", "—", "“”",
       "\u202eabc\u202c", "▁", "▁▁x", "Ġ", "ĊĠ", "\\x41", "\\"]
# Categories of later Unicode versions depend on the library; the models were made before most of these.
ASSIGNED = [c for c in map(chr, [*range(0x20, 0xd800), *range(0xe000, 0x20000)]) if unicodedata.category(c) != "Cn"]


def lines(n, seed):
    """n lines as bytes: every nasty thing alone and between letters, then mixtures, then long runs."""
    rng = random.Random(seed)
    single = SPACES + NUMBERS + CONTRACTIONS + MARKS + LOOKALIKES + ODD
    out = [b"", b"Hello, world!"]
    for text in single:
        out += [text.encode(), f"a{text}b".encode(), f" {text} 1".encode()]
    out += [form for bad in INVALID for form in (bad, b"a" + bad + b"b", b" " + bad + b"  x")]
    for char, count in [("a", 150), (" ", 260), ("\n", 90), ("1", 40), ("!", 100), ("é", 50), ("ab ", 40), ("=", 80)]:
        out += [(char * count).encode(), (char * count + "x").encode()]
    kinds = [(WORDS, 8), (SPACES, 5), (NUMBERS, 3), (CONTRACTIONS, 2), (MARKS, 2), (LOOKALIKES, 1), (ODD, 1)]
    while len(out) < n:
        line = b""
        for _ in range(rng.randint(1, 5)):
            if rng.random() < 0.03:
                line += rng.choice(INVALID)
            elif rng.random() < 0.04:
                line += rng.choice(ASSIGNED).encode()
            else:
                line += rng.choice(rng.choices([k for k, _ in kinds], [w for _, w in kinds])[0]).encode()
                line += b" " if rng.random() < 0.45 else b""
        out.append(line)
    return out[:n]


def parts(line):
    """[(bytes, valid)]: longest valid runs and single invalid bytes."""
    text = line.decode("utf-8", "surrogateescape")
    for run in re.findall("[\udc80-\udcff]|[^\udc80-\udcff]+", text):
        yield run.encode("utf-8", "surrogateescape"), not "\udc80" <= run[0] <= "\udcff"


def escape(data):
    if isinstance(data, str):
        data = data.encode()
    out = ""
    for run, valid in parts(data):
        for c in run.decode() if valid else [None]:
            if c is None:
                out += "\\x%02x" % run[0]
            elif c == "\\":
                out += "\\\\"
            elif ord(c) < 32 or ord(c) == 127:
                out += "\\x%02x" % ord(c)
            else:
                out += c
    return out


def write(name, head, tokens, merges, cases):
    with open(HERE / f"{name}.txt", "w", encoding="utf-8", newline="\n") as f:
        f.writelines(line + "\n" for line in head)
        f.writelines(f"v {kind} {score:g} {escape(text)}\n" for kind, score, text in tokens)
        f.writelines(f"m {escape(m)}\n" for m in merges)
        f.writelines(f"{'s' if special else 't'} {' '.join(map(str, ids))}|{escape(line)}\n"
                     for special, line, ids in cases)


# ------------------------------------------------------------------------------------------------- byte-level BPE

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
PRE = {  # as in the tokenizer.json of HuggingFaceTB/SmolLM2, openai-community/gpt2, meta-llama/Llama-3, Qwen/Qwen2
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]),
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    "llama-bpe": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"), BYTES]),
    "qwen2": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"), BYTES]),
}


def byte_alphabet():
    own = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 255 and b != 173]
    rest = [b for b in range(256) if b not in own]
    return {**{b: chr(b) for b in own}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


ALPHABET = byte_alphabet()


def bpe(pre, vocab, merges, added, ignore_merges):
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
    t.pre_tokenizer = PRE[pre]
    t.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        t.normalizer = normalizers.NFC()
    t.add_tokens([AddedToken(a, normalized=False, special=False) for a in added])
    return t


def bpe_ids(tokenizer, vocab, line):
    ids = []
    for run, valid in parts(line):
        if valid:
            ids += tokenizer.encode(run.decode(), add_special_tokens=False).ids
        elif ALPHABET[run[0]] in vocab:
            ids.append(vocab[ALPHABET[run[0]]])
    return ids


def bpe_cases(pre, vocab, merges, control, user, texts, every):
    ignore = pre == "llama-bpe"
    plain = bpe(pre, vocab, merges, user, ignore)
    special = bpe(pre, vocab, merges, user + control, ignore)
    cases = [(False, line, bpe_ids(plain, vocab, line)) for line in texts]
    return cases + [(True, line, bpe_ids(special, vocab, line)) for line in texts[::every] + special_lines(texts)]


def special_lines(texts):
    return [line for line in texts if b"<" in line][:60]


def smollm(path):
    from gguf import GGUFReader
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    types = fields["tokenizer.ggml.token_type"].contents()
    control = [t for t, kind in zip(tokens, types) if kind == 3]
    vocab = {t: i for i, t in enumerate(tokens)}
    write("smollm", ["pre smollm"], [], [], bpe_cases("smollm", vocab, merges, control, [], lines(2050, 1), 50))


def small_bpe(pre, name, seed):
    trainer = trainers.BpeTrainer(vocab_size=620, initial_alphabet=sorted(ALPHABET.values()), show_progress=False,
                                  special_tokens=[])
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = PRE[pre]
    rng = random.Random(seed)
    raw.train_from_iterator((" ".join(rng.choices(WORDS + NUMBERS, k=12)) for _ in range(400)), trainer)
    import json
    model = json.loads(raw.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(m) for m in model["merges"]]
    if pre == "llama-bpe":  # a word that no merge makes: only "whole words first" finds it
        vocab["Ġjumps\u00e2\u0122\u013e"] = len(vocab)
        vocab["ĠZ\u00c3\u00bcrich"] = len(vocab)
    added = {t: len(vocab) + i for i, t in enumerate(USER + CONTROL)}
    full = {**vocab, **added}
    kinds = {**{t: 4 for t in USER}, **{t: 3 for t in CONTROL}}
    tokens = [(kinds.get(t, 1), 0, t) for t, _ in sorted(full.items(), key=lambda x: x[1])]
    write(name, [f"pre {pre}"], tokens, [" ".join(m) for m in merges],
          bpe_cases(pre, full, merges, CONTROL, USER, lines(360, seed), 20))


# -------------------------------------------------------------------------------------------------- SentencePiece


def sentencepiece(name, seed, prefix, user):
    import io

    import sentencepiece as spm
    from sentencepiece import sentencepiece_model_pb2 as pb
    rng = random.Random(seed)
    model = io.BytesIO()
    corpus = [" ".join(rng.choices([w for w in WORDS if w.isascii()] + WORDS[:40], k=12)) for _ in range(400)]
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, vocab_size=620, model_type="bpe", byte_fallback=True,
        character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=prefix, user_defined_symbols=user, split_digits=True, allow_whitespace_only_pieces=True,
        minloglevel=2)
    proto = pb.ModelProto.FromString(model.getvalue())

    def processor(dummy):
        proto.normalizer_spec.add_dummy_prefix = dummy
        return spm.SentencePieceProcessor(model_proto=proto.SerializeToString())

    with_prefix, without = processor(prefix), processor(False)
    control = {p.piece: i for i, p in enumerate(proto.pieces) if p.type in (2, 3)}

    def plain_ids(line, opens):
        ids = []
        for run, valid in parts(line):
            if valid:
                ids += (with_prefix if opens else without).encode(run.decode())
            else:
                # The space goes before the text, whatever the text begins with.
                ids += [with_prefix.piece_to_id("▁")] if opens and prefix else []
                ids.append(without.piece_to_id("<0x%02X>" % run[0]))
            opens = False
        return ids

    def ids_of(line, special):
        if not special:
            return plain_ids(line, True)
        ids = []
        for part in re.split(b"(%s)" % b"|".join(re.escape(c.encode()) for c in control), line):
            if part.decode("utf-8", "surrogateescape") in control:
                ids.append(control[part.decode()])
            else:
                ids += plain_ids(part, True) if part else []
        return ids

    # In the file, GGUF's types: those of SentencePiece, user-defined pieces with spaces as in the text.
    tokens = [(p.type, p.score, p.piece.replace("▁", " ") if p.type == 4 else p.piece) for p in proto.pieces]
    texts = lines(360, seed)
    cases = [(False, line, ids_of(line, False)) for line in texts]
    cases += [(True, line, ids_of(line, True)) for line in texts[::20] + special_lines(texts)]
    write(name, (["prefix"] if prefix else []) + ["unk 0"], tokens, [], cases)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    smollm(sys.argv[1])
    small_bpe("gpt-2", "gpt-2", 2)
    small_bpe("llama-bpe", "llama-bpe", 3)
    small_bpe("qwen2", "qwen2", 4)
    sentencepiece("spm-llama", 5, True, ["<tool>", "<tool_call>"])
    sentencepiece("spm-gemma", 6, False, ["\n", "\n\n", "\n\n\n", "▁▁", "▁▁▁", "▁▁▁▁", "\t", "<table>", "</td>"])
