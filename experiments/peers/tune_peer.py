"""One training step of transformers: block fine-tuning of one sample through a 4-D mask, forward and backward.

    tune_peer.py --model PATH --passages 9 --passage-tokens 150 --question 100 --answer 20 [--lora 8] [--threads 2]

Passages of random ids; every passage sees itself, the question and the answer see everything; the loss is that of the
answer's tokens. Prints tokens per second, by the clock and by the processor's time (which does not depend on what else
the machine does), as one JSON line. The same with this program:

    blockattn tune --data SAMPLES --mode block --batch 1 --steps 5 --save DIR [--lora 8] --threads 2 --csv
"""
import argparse
import json
import os
import time

import torch
from transformers import AutoModelForCausalLM


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", required=True)
    p.add_argument("--passages", type=int, default=9)
    p.add_argument("--passage-tokens", type=int, default=150)
    p.add_argument("--question", type=int, default=100)
    p.add_argument("--answer", type=int, default=20)
    p.add_argument("--lora", type=int, default=0)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--steps", type=int, default=3)
    p.add_argument("--masters", action="store_true", help="weights and moments in fp32, products in bf16 (autocast), as ours; "
                   "without: everything in bf16")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    folder, file = os.path.dirname(os.path.abspath(a.model)), os.path.basename(a.model)
    where = {"pretrained_model_name_or_path": a.model} if os.path.isdir(a.model) else {
        "pretrained_model_name_or_path": folder, "gguf_file": file}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32 if a.masters else torch.bfloat16,
                                                 attn_implementation="sdpa")
    if a.lora:
        from peft import LoraConfig, get_peft_model
        model = get_peft_model(model, LoraConfig(r=a.lora, lora_alpha=2 * a.lora, task_type="CAUSAL_LM",
                                                 target_modules="all-linear"))
    lengths = [a.passage_tokens] * a.passages + [a.question + a.answer - 1]
    n = sum(lengths)
    owner = torch.cat([torch.full((l,), i) for i, l in enumerate(lengths)])
    visible = ((owner[:, None] == owner) | (owner == a.passages)[:, None]).tril()
    mask = torch.zeros(n, n, dtype=torch.bfloat16).masked_fill(~visible, torch.finfo(torch.bfloat16).min)[None, None]
    ids = torch.randint(100, 40000, (1, n))
    target = torch.randint(100, 40000, (a.answer,))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    clock, cpu = [], []
    for _ in range(a.steps + 1):
        start = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=a.masters):
            logits = model(input_ids=ids, position_ids=torch.arange(n)[None], attention_mask=mask, use_cache=False,
                           logits_to_keep=a.answer).logits[0]
        torch.nn.functional.cross_entropy(logits.float(), target, reduction="sum").backward()
        optimiser.step()
        optimiser.zero_grad()
        clock.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    print(json.dumps({"tokens": n, "threads": a.threads, "lora": a.lora, "seconds": clock[1:], "cpu_seconds": cpu[1:],
                      "tokens_per_s": n / min(clock[1:]), "tokens_per_cpu_s": n / min(cpu[1:])}))


if __name__ == "__main__":
    main()
