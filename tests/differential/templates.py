#!/usr/bin/env python3
"""Chat templates against Jinja: python3 tests/differential/templates.py

Templates as published models have them, and neighbours of these, on conversations as requests: the text of the tokens
that the program makes of each is the text that Jinja renders, or the program refuses. Needs jinja2; without it, it says
so and is skipped. Exit status 1: a difference.
"""
import itertools
import json
import os
import subprocess
import sys
import tempfile

try:
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError as e:
    print(f"templates: skipped, Python has no {e.name}")
    sys.exit(0)

from harness import PROGRAM, Counts

HERE = os.path.dirname(os.path.abspath(__file__))
MARKS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "[INST]",
         "[/INST]", "<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"]
SYSTEM = {"role": "system", "content": "Be kind."}
USER, USER2, USER3 = ({"role": "user", "content": c} for c in ("Hello there?", "One.\n\nTwo.\n\nAnd what?", " spaced \n"))
ANSWER, ANSWER2 = ({"role": "assistant", "content": c} for c in ("Fine.", " Well. "))
CONVERSATIONS = [[USER], [USER2], [USER3], [SYSTEM, USER], [SYSTEM, USER2], [USER, ANSWER, USER2],
                 [SYSTEM, USER, ANSWER, USER2], [USER, ANSWER2, USER3, ANSWER, USER], [SYSTEM, SYSTEM, USER],
                 [USER, USER2],
                 [USER, {"role": "assistant", "content": "<think>\nno\n</think>\n\nYes."}, USER2]]


def bytes_of_alphabet():
    """GPT-2's letters for bytes."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    letters, n = {b: chr(b) for b in plain}, 0
    for b in range(256):
        if b not in letters:
            letters[b] = chr(256 + n)
            n += 1
    return letters


def write_model(folder, template):
    letters = bytes_of_alphabet()
    vocab = {letters[b]: b for b in range(256)}
    added = [{"id": 256 + i, "content": m, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": False} for i, m in enumerate(MARKS)]
    files = {
        "config.json": {"model_type": "llama", "vocab_size": 256 + len(MARKS), "hidden_size": 8, "intermediate_size": 8,
                        "num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": 4096},
        "tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>", "chat_template": template},
        "tokenizer.json": {"version": "1.0", "added_tokens": added, "normalizer": None,
                           "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                                             "use_regex": True},
                           "model": {"type": "BPE", "vocab": vocab, "merges": []}}}
    for name, value in files.items():
        with open(os.path.join(folder, name), "w") as f:
            json.dump(value, f)
    return {v: k for k, v in letters.items()}


def rendered(template, messages):
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)
    env.globals["raise_exception"] = raise_exception
    text = env.from_string(template).render(messages=messages, add_generation_prompt=True, bos_token="<s>",
                                            eos_token="</s>", tools=None, documents=None)
    return text.removeprefix("<s>")  # modes add it


def ours(folder, letters, messages):
    path = os.path.join(folder, "request.json")
    with open(path, "w") as f:
        json.dump({"messages": messages}, f)
    done = subprocess.run([PROGRAM, "plan", "--model", folder, "--request", path, "--mode", "full", "--json"],
                          capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip()
    ids = [i for node in json.loads(done.stdout)["nodes"] for i in node["ids"]]
    return b"".join(MARKS[i - 256].encode() if i >= 256 else bytes([i]) for i in ids).decode(), None


def templates():
    with open(os.path.join(HERE, "templates.json")) as f:
        found = json.load(f)
    for open_, close, gen in itertools.product(["<|im_start|>", "<|"], ["<|im_end|>\n", "<|im_end|>", "</s>\n"],
                                               ["assistant\n", "assistant\n<think>\n", None]):
        found[f"chatml {open_}{close}{gen}"] = (
            "{%- for m in messages %}{{ '" + open_ + "' + m['role'] + '\n' + m['content'] + '" + close + "' }}"
            "{%- endfor %}" + ("{%- if add_generation_prompt %}{{ '" + open_ + gen + "' }}{%- endif %}" if gen else ""))
    return found


def main():
    counts = Counts("chat templates against Jinja")
    for name, template in templates().items():
        with tempfile.TemporaryDirectory() as folder:
            letters = write_model(folder, template)
            for messages in CONVERSATIONS:
                try:
                    right, error = rendered(template, messages), None
                except Exception as e:
                    right, error = None, f"reference: {e}"
                got, why = ours(folder, letters, messages)
                end = "refused" if got is None else "failed" if right is None else "equal" if got == right else "different"
                counts.add(end, 0, why or error, f"{name}: {[m['role'] for m in messages]}"
                           + (f" {got!r} instead of {right!r}" if end == "different" else ""))
    return counts.finish(0, os.environ.get("VERBOSE"))


if __name__ == "__main__":
    sys.exit(main())
