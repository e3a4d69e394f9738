"""Writes sim/text/unicode_tables.h: where the Python library `tokenizers` and utf8proc disagree about a code point.

    python make_unicode.py > ../../../sim/text/unicode_tables.h      (needs: tokenizers 0.23, libutf8proc 2.8)

Each part of the library has the tables of another Unicode version: the normal forms and StripAccents are old, Punctuation
and BertNormalizer older, Lowercase and regular expressions new. So every code point is put to the library, and the
table lists only those for which the answer differs from what utf8proc 2.8 (Unicode 15.0) says.
"""
import ctypes

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

u = ctypes.CDLL("libutf8proc.so.2")
u.utf8proc_tolower.restype = ctypes.c_int32
u.utf8proc_map.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int]
u.utf8proc_map.restype = ctypes.c_ssize_t
libc = ctypes.CDLL(None)
libc.free.argtypes = [ctypes.c_void_p]

NAMES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co".split()
CODES = [*range(1, 0xd800), *range(0xe000, 0x110000)]
CATEGORY = {c: NAMES[u.utf8proc_category(c)] for c in CODES}
WHITE = {*range(9, 14), 0x20, 0x85, 0xa0, 0x1680, *range(0x2000, 0x200b), 0x2028, 0x2029, 0x202f, 0x205f, 0x3000}
ASCII_PUNCTUATION = {c for c in range(33, 127) if not chr(c).isalnum()}
# Alphabetic though neither a letter nor a mark, and the two joiners.
WORD_EXTRA = {*range(0x24b6, 0x24ea), *range(0x1f130, 0x1f14a), *range(0x1f150, 0x1f16a), *range(0x1f170, 0x1f18a), 0x200c,
              0x200d}


def ranges(codes):
    out = []
    for c in sorted(codes):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def table(name, codes):
    """Empty tables are left out."""
    if not codes:
        return
    rows = [f"{{0x{a:x}, 0x{b:x}}}" for a, b in ranges(codes)]
    print(f"static const span {name}[] = {{")
    line = "   "
    for row in rows:
        if len(line) + len(row) + 2 > 118:
            print(line)
            line = "   "
        line += f" {row},"
    print(line + "\n};")


def differ(name, library, ours):
    table(f"{name}_more", [c for c in CODES if library(c) and not ours(c)])
    table(f"{name}_less", [c for c in CODES if ours(c) and not library(c)])


def normalised(text, options):
    p, data = ctypes.c_void_p(), text.encode()
    n = u.utf8proc_map(data, len(data), ctypes.byref(p), options)
    out = ctypes.string_at(p.value, n).decode()
    libc.free(p.value)
    return out


def removed(normalizer):
    return lambda c: normalizer.normalize_str(chr(c)) == ""


def splits(pre):
    return lambda c: len(pre.pre_tokenize_str("a" + chr(c) + "a")) == 3


def young():
    """Code points that the library's normal forms do not know: no decomposition, combining class 0."""
    stable, compose, compat, decompose = 2, 8, 4, 16
    forms = [(stable | compose, normalizers.NFC()), (stable | decompose, normalizers.NFD()),
             (stable | compose | compat, normalizers.NFKC()), (stable | decompose | compat, normalizers.NFKD())]
    out = {c for options, form in forms for c in CODES if normalised(chr(c), options) != form.normalize_str(chr(c))}
    for c in CODES:
        for mark in "\u0334\u0323":
            text = chr(c) + mark
            if CATEGORY[c][0] == "M" and normalised(text, stable | decompose) != normalizers.NFD().normalize_str(text):
                out.add(c)
    # Starters that compose to a code point of the list.
    for c in list(out):
        parts = normalised(chr(c), stable | decompose)
        if len(parts) > 1 and normalised(parts, stable | compose) == chr(c):
            out |= set(map(ord, parts))
    return out


print("/* Written by tests/golden/tokenizer/make_unicode.py: code points about which the Python library `tokenizers`",
      tokenizers.__version__)
print(" * and utf8proc 2.8 disagree. NAME_more: only the library says yes; NAME_less: only utf8proc does. */")
print("/* clang-format off */\n#ifndef BA_UNICODE_TABLES_H\n#define BA_UNICODE_TABLES_H\n\n#include <stdint.h>\n")
print("typedef struct span {\n    int32_t first, last;\n} span;\n")
cat = CATEGORY
letter, number = (normalizers.Replace(Regex(p), "") for p in (r"\p{L}", r"\p{N}"))
differ("letter", removed(letter), lambda c: cat[c][0] == "L")
differ("number", removed(number), lambda c: cat[c][0] == "N")
differ("numeric", splits(pre_tokenizers.Digits(True)), lambda c: cat[c][0] == "N")
differ("punctuation", splits(pre_tokenizers.Punctuation()), lambda c: cat[c][0] == "P" or c in ASCII_PUNCTUATION)
differ("mark", removed(normalizers.StripAccents()), lambda c: cat[c][0] == "M")
words = pre_tokenizers.Whitespace()
differ("word", lambda c: c not in WHITE and len(words.pre_tokenize_str("a" + chr(c) + "a")) == 1,
       lambda c: cat[c][0] in "LM" or cat[c] in ("Nd", "Nl", "Pc") or c in WORD_EXTRA)
clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
differ("control", lambda c: c != 0xfffd and clean.normalize_str("a" + chr(c) + "a") == "aa",
       lambda c: cat[c] in ("Cc", "Cf", "Cs", "Co") and c not in (9, 10, 13))
accents = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
differ("nonspacing", removed(accents), lambda c: cat[c] == "Mn")
table("young", young())
print("/* Lower case: {code point, what it becomes}. U+0130 becomes two code points and is not listed. */")
print("static const span lower[] = {")
lower = normalizers.Lowercase()
for c in CODES:
    got = lower.normalize_str(chr(c))
    if len(got) == 1 and got != chr(u.utf8proc_tolower(c)):
        print(f"    {{0x{c:x}, 0x{ord(got):x}}},")
print("};\n\n#endif")
