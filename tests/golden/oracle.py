"""Every attention mode, written from its definition: the oracle of the golden logits.

    oracle.py MODEL.gguf [FILE ...]

Computes the entries of the table GOLDEN (all, or the named files only) on the prompts of prompts.json and writes one
JSON file each. full.json and block.json are not made here but by reference.py, from transformers. Of a second model
(gemma.py) prompts and results lie in a folder of their own, and only the modes as they are by default are stored.

A mode is a function (model, prompt, its parameters) -> (logits of the last row, tokens counted). It lays out runs of
tokens (llama.Rows), what each sees and where; "place" is the offset in the plain concatenation of the prompt.
"""
import json
import math
import os
import sys

import torch
from gguf import GGUFReader

from gemma import Gemma
from llama import REAL, Llama, Rows, softmax_attention

HERE = os.path.dirname(os.path.abspath(__file__))


class Prompt:
    """prefix (may be empty), contexts, question, task (may be empty)."""

    def __init__(self, request):
        by_role = lambda role: [i for i, r in zip(request["ids"], request["roles"]) if r == role]
        self.name = request["name"]
        self.segments = request["ids"]
        self.prefix = sum(by_role("system"), [])
        self.contexts = by_role("passage")
        self.question = sum(by_role("question"), [])
        self.task = sum(by_role("task"), [])
        self.has_system = "system" in request["roles"]
        self.n = sum(len(s) for s in self.segments)
        self.blocks = self.segments[:-1]  # block 0 is the prefix if there is one


def answer(model, runs):
    """Logits after the last row of the last run."""
    return model.logits(model.forward(runs)[runs[-1]][-1])


# --- block attention and its relatives ---------------------------------------------------------------------------

def full(model, prompt):
    return answer(model, [Rows(sum(prompt.segments, []))]), prompt.n


def block(model, prompt, n=10000):
    """The first n blocks alone, the others folded into the last, which sees all of them at their place."""
    local, last = prompt.blocks[:n], sum(prompt.segments[len(prompt.blocks[:n]):], [])
    runs, place = [], 0
    for ids in local:
        runs.append(Rows(ids, start=place))
        place += len(ids)
    viewer = Rows(last, start=place)
    for run in runs:
        viewer.see(run, at=run.pos[0])
    return answer(model, runs + [viewer]), prompt.n


def block_nopos(model, prompt):
    """Every block keeps 0 .. l - 1 also when the question sees it; the question is at its true position."""
    runs = [Rows(ids) for ids in prompt.blocks]
    viewer = Rows(prompt.segments[-1], start=sum(r.n for r in runs))
    for run in runs:
        viewer.see(run, at=0)
    return answer(model, runs + [viewer]), prompt.n


def turborag(model, prompt, order="composite"):
    return block_nopos(model, prompt) if order == "composite" else block(model, prompt)


# --- schema and shared positions ---------------------------------------------------------------------------------

def promptcache(model, prompt, scaffold="joint", skip=None):
    """joint: prefix and contexts encoded together, causally; the question imports all modules, or all but context
    `skip` (from 0), whose slots stay empty. none: contexts alone, side by side after the prefix's slots."""
    if scaffold == "none":
        return shared_positions(model, prompt, see_prefix=False)
    whole = Rows(prompt.prefix + sum(prompt.contexts, []))
    used = list(range(whole.n))
    if skip is not None:
        first = len(prompt.prefix) + sum(len(c) for c in prompt.contexts[:skip])
        used = used[:first] + used[first + len(prompt.contexts[skip]):]
    viewer = Rows(prompt.question, start=whole.n).see(whole, at=0, index=used)
    return answer(model, [whole, viewer]), prompt.n


def shared_positions(model, prompt, see_prefix=True, attend=softmax_attention):
    """Contexts all start after the prefix; the question follows the longest and sees everything."""
    lp = len(prompt.prefix)
    runs = [Rows(prompt.prefix)] if lp else []
    viewer = Rows(prompt.question, start=lp + max(len(c) for c in prompt.contexts))
    if lp:
        viewer.see(runs[0], at=0)
    for i, ids in enumerate(prompt.contexts):
        context = Rows(ids, start=lp)
        if lp and see_prefix:
            context.see(runs[0], at=0)
        viewer.see(context, at=lp, label=i)
        runs.append(context)
    viewer.attend = attend
    return answer(model, runs + [viewer]), prompt.n


def pcw(model, prompt):
    return shared_positions(model, prompt)


def ape(model, prompt, t=0.9, s=0.9, form="code"):
    """Context keys at temperature t; their log-sum-exp scaled by s t (released code) or s (paper) before it is
    weighed against that of all other keys."""

    def attend(scores, values, labels):
        context = torch.tensor([label is not None for label in labels])
        inside, outside = scores[:, :, context] / t, scores[:, :, ~context]
        scale = s * t if form == "code" else s
        lse = torch.stack((scale * torch.logsumexp(inside, -1), torch.logsumexp(outside, -1)), -1)
        weight = torch.softmax(lse, -1)
        return (weight[..., :1] * (torch.softmax(inside, -1) @ values[:, context]) +
                weight[..., 1:] * (torch.softmax(outside, -1) @ values[:, ~context]))

    return shared_positions(model, prompt, attend=attend)


def best(scores, k):
    """Indices of the k largest; equal ones (up to rounding) by index."""
    ranked = sorted(range(len(scores)), key=lambda i: (-round(float(scores[i]), 10), i))
    return sorted(ranked[:k])


def selective(model, prompt, k=2, agg="none"):
    """Per head and row (agg=ht: one choice for all) the k contexts with the largest sum of their five largest
    probabilities keep theirs; those of the others become 0, and all is normalised again."""

    def attend(scores, values, labels):
        probs = torch.softmax(scores, -1)
        columns = [torch.tensor([label == i for label in labels]) for i in range(len(prompt.contexts))]
        score = torch.stack([probs[:, :, c].topk(min(5, int(c.sum())), -1).values.sum(-1) for c in columns], -1)
        heads, rows, _ = score.shape
        if agg == "ht":
            score = score.sum((0, 1), keepdim=True).expand_as(score)
        keep = torch.ones(heads, rows, len(labels), dtype=torch.bool)
        for h in range(heads):
            for r in range(rows):
                kept = best(score[h, r].tolist(), k)
                for i, c in enumerate(columns):
                    if i not in kept:
                        keep[h, r, c] = False
        probs = probs * keep
        return (probs / probs.sum(-1, keepdim=True)) @ values

    return shared_positions(model, prompt, attend=attend)


# --- superposition -----------------------------------------------------------------------------------------------

def superposition(model, prompt, topk=None, positions="equilibrium", qfirst="yes"):
    """One path per context, each with its own copy of the question; the task sees the paths kept.

    equilibrium: every context is spread evenly over the harmonic mean of their lengths. max: contexts keep step 1,
    left-aligned, and the question starts after the longest one (the paper's section 3.2.2: left-aligned padding)."""
    lp, m = len(prompt.prefix), len(prompt.contexts)
    if positions == "equilibrium":
        room = m / sum(1 / len(c) for c in prompt.contexts)
    else:
        room = max(len(c) for c in prompt.contexts)
    prefix = Rows(prompt.prefix) if lp else None
    paths = []
    for ids in prompt.contexts:
        step = room / len(ids) if positions == "equilibrium" else 1
        context, question = Rows(ids, start=lp, step=step), Rows(prompt.question, start=lp + room)
        if prefix:
            context.see(prefix, at=0)
            question.see(prefix, at=0)
        question.see(context, at=lp, step=step)
        paths.append((context, question, step))
    runs = ([prefix] if prefix else []) + [run for path in paths for run in path[:2]]

    kept = range(m)
    if topk is not None:
        hidden = model.forward(runs)
        mean = lambda x: float(x.mean()) if len(x) else 0.0

        def log_p(rows, ids):
            """log P of ids[i] by rows[i]."""
            return torch.log_softmax(model.logits(rows), -1).gather(1, torch.tensor(ids)[:, None])[:, 0]

        scores = []
        for context, question, _ in paths:
            of_context = log_p(hidden[context][:-1], context.ids[1:]) if context.n > 1 else torch.tensor([])
            before = torch.cat((hidden[context][-1:], hidden[question][:-1]))
            of_question = log_p(before, question.ids)[1 if qfirst == "no" else 0:]
            scores.append(mean(of_context) + mean(of_question))
        kept = best(scores, topk)

    task = Rows(prompt.task, start=lp + room + len(prompt.question))
    if prefix:
        task.see(prefix, at=0)
    for i in kept:
        context, question, step = paths[i]
        task.see(context, at=lp, step=step)
        task.see(question, at=lp + room)
    return answer(model, runs + [task]), prompt.n


# --- recomputing some rows ---------------------------------------------------------------------------------------

def lego(model, prompt, k=16, qbos="yes"):
    """Every chunk is encoded alone after its own BOS; the first k tokens of every later one are then encoded again,
    seeing everything before them: recomputed rows where there are some, else the old ones."""
    place, seen, runs = 0, [], []  # seen: (rows, index) that later rows look at
    for i, ids in enumerate(prompt.blocks):
        alone = Rows([model.bos] + ids, start=place)
        runs.append(alone)
        redo = min(k, alone.n) if i else 0
        if redo:
            head = Rows(alone.ids[:redo], start=place)
            for rows, index in seen:
                head.see(rows, at=rows.pos[0], index=index)
            runs.append(head)
            seen.append((head, range(redo)))
        if redo < alone.n:
            seen.append((alone, range(redo, alone.n)))
        place += alone.n
    viewer = Rows(([model.bos] if qbos == "yes" else []) + prompt.segments[-1], start=place)
    for rows, index in seen:
        viewer.see(rows, at=rows.pos[0], index=index)
    return answer(model, runs + [viewer]), place + viewer.n


def lego_0(model, prompt):
    """Later chunks are encoded after four BOS that nobody else sees and that take no place; the first keeps one."""
    runs, place = [Rows([model.bos] + prompt.blocks[0])], 1 + len(prompt.blocks[0])
    seen = [(runs[0], 0)]
    for ids in prompt.blocks[1:]:
        dummies = 4
        runs.append(Rows([model.bos] * dummies + ids, start=place - dummies))
        seen.append((runs[-1], dummies))
        place += len(ids)
    viewer = Rows(prompt.segments[-1], start=place)
    for rows, first in seen:
        viewer.see(rows, at=rows.pos[0], index=range(first, rows.n))
    return answer(model, runs + [viewer]), place + viewer.n


def cacheblend(model, prompt, r=0.16, score="v", mask="exact", brlayer=1, n="all"):
    """Stale keys and values of every segment alone; layer 0 in full; at layer 1 the rows whose value (or key) differs
    most from the stale one go on together with the question, from layer 2 over stale rows with theirs put in."""
    total, asked = prompt.n, len(prompt.segments[-1])
    ids, pos = sum(prompt.segments, []), torch.arange(prompt.n, dtype=REAL)
    causal = torch.ones(total, total).tril().bool()
    alone = torch.zeros(total, total, dtype=torch.bool)
    place = 0
    for s in prompt.segments:
        alone[place:place + len(s), place:place + len(s)] = True
        place += len(s)

    stale, x = [], model.embed(ids)
    for layer in range(model.layers):
        q, k, v = model.qkv(layer, x)
        stale.append((k, v))
        x = model.rest(layer, x, model.attention(layer, q, pos, k, pos, v, causal & alone))

    x = model.embed(ids)
    q, k, v = model.qkv(0, x)
    x = model.rest(0, x, model.attention(0, q, pos, k, pos, v, causal))

    q, k, v = model.qkv(1, x)
    part = 1 if score == "v" else 0
    change = ((v if part else k) - stale[1][part]).square().sum((1, 2))[:total - asked]
    count = min(int((total if n == "all" else total - asked) * r), total - asked)
    rows = torch.tensor(best(change.tolist(), count) + list(range(total - asked, total)))
    bottom_right = torch.ones(len(rows), total).tril(total - len(rows)).bool()
    seen = lambda layer: bottom_right if mask == "bottomright" and layer >= brlayer else causal[rows]
    x = model.rest(1, x[rows], model.attention(1, q[rows], pos[rows], k, pos, v, seen(1)))

    for layer in range(2, model.layers):
        q, fresh_k, fresh_v = model.qkv(layer, x)
        k, v = stale[layer][0].clone(), stale[layer][1].clone()
        k[rows], v[rows] = fresh_k, fresh_v
        x = model.rest(layer, x, model.attention(layer, q, pos[rows], k, pos, v, seen(layer)))
    return model.logits(x[-1]), total


# --- the modes of 2026 -------------------------------------------------------------------------------------------

def splitmix(seed):
    """SplitMix64, from its definition."""
    mask = (1 << 64) - 1
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ seed >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        yield z ^ z >> 31


def splice(model, prompt, donor="rotate", seed=0):
    """Passages out of a full prefill of the prefix and all passages in another order; the last node sees each at its
    place in this prompt."""
    order = list(range(len(prompt.contexts)))
    if donor == "rotate":
        order = order[1:] + order[:1]
    if donor == "shuffle":
        random = splitmix(seed)
        for i in reversed(range(1, len(order))):
            j = next(random) % (i + 1)
            order[i], order[j] = order[j], order[i]
    before, cut, place = [], {}, len(prompt.prefix)
    if prompt.prefix:
        before.append(Rows(prompt.prefix))
    for i in order:
        cut[i] = Rows(prompt.contexts[i], start=place)
        for rows in before:
            cut[i].see(rows, at=rows.pos[0])
        before.append(cut[i])
        place += cut[i].n
    viewer = Rows(prompt.question + prompt.task, start=place)
    place = len(prompt.prefix)
    if prompt.prefix:
        viewer.see(before[0], at=0)
    for i, ids in enumerate(prompt.contexts):
        viewer.see(cut[i], at=place)
        place += len(ids)
    return answer(model, before + [viewer]), prompt.n


def before_edit(prompt):
    """What the prompt before this one had in place of its first passage: that one backwards, of another length."""
    ids = prompt.contexts[0][::-1]
    return ids[:max(1, 2 * len(ids) // 3)] + prompt.question[:3]


def editlocal(model, prompt, k=32):
    """The earlier prompt had full attention. The new span and the k tokens after it see everything before them in this
    prompt; later tokens are those of the earlier prompt, at their new places."""
    rest = sum(prompt.contexts[1:], [])
    now, old = prompt.prefix + prompt.contexts[0] + rest, prompt.prefix + before_edit(prompt) + rest
    most, first, last = min(len(now), len(old)), 0, 0
    while first < most and now[first] == old[first]:
        first += 1
    while last < most - first and now[-1 - last] == old[-1 - last]:
        last += 1
    runs = []

    def run(ids, start, *seen):
        """A run that sees others where they are; None if it is empty."""
        if not ids:
            return None
        rows = Rows(ids, start=start)
        for other in seen:
            if other:
                rows.see(other, at=other.pos[0])
        runs.append(rows)
        return rows

    common = run(now[:first], 0)
    span = run(now[first:len(now) - last], first, common)
    gone = run(old[first:len(old) - last], first, common)
    stale = run(now[len(now) - last:], len(old) - last, common, gone)
    again = run(now[len(now) - last:][:k], len(now) - last, common, span)
    viewer = run(prompt.question + prompt.task, len(now), common, span, again)
    if stale and k < stale.n:
        viewer.see(stale, at=len(now) - last, index=range(k, stale.n))
    return answer(model, runs), prompt.n


class Stored:
    """Keys (not rotated) and values of prefix and passages, each encoded alone, layer by layer; and who is who."""

    def __init__(self, model, prompt):
        self.asked = prompt.question + prompt.task
        segments = ([prompt.prefix] if prompt.prefix else []) + prompt.contexts
        self.ids = sum(segments, [])
        self.n, self.prefix = len(self.ids), len(prompt.prefix)
        self.all_ids = self.ids + self.asked
        self.pos = torch.arange(len(self.all_ids), dtype=REAL)
        parts = [[] for _ in range(model.layers)]
        for ids in segments:
            x, pos = model.embed(ids), torch.arange(len(ids), dtype=REAL)
            for layer in range(model.layers):
                q, k, v = model.qkv(layer, x)
                parts[layer].append((k, v))
                past = torch.ones(len(ids), len(ids)).tril().bool()
                x = model.rest(layer, x, model.attention(layer, q, pos, k, pos, v, past))
        self.kv = [tuple(torch.cat(p) for p in zip(*layer)) for layer in parts]

    def causal(self, rows):
        """What these rows of the prompt see of it."""
        return torch.arange(len(self.all_ids))[None] <= torch.tensor(rows)[:, None]

    def node(self):
        return list(range(self.n, len(self.all_ids)))


def highest(scores, n, among):
    """The n of `among` with the highest scores, the lower index first among equals."""
    return sorted(among, key=lambda i: (-float(scores[i]), i))[:n]


def context_softmax(model, layer, stored, q, q_pos):
    """Softmax of rotated queries [heads, rows, dim] over the stored keys that rows at q_pos see; [heads, rows, keys]."""
    k = model.rotate(layer, stored.kv[layer][0], stored.pos[:stored.n]).transpose(0, 1)
    k = k.repeat_interleave(q.shape[0] // k.shape[0], 0)
    score = q @ k.transpose(1, 2) / model.dim ** 0.5
    seen = q_pos[:, None] - stored.pos[:stored.n] < model.window(layer)
    return torch.softmax(score.masked_fill(~seen, -torch.inf), -1).nan_to_num(0.0)


def probed(model, stored, votes, layers):
    """Mean over `layers` of votes(layer, rotated queries of the last node): a score for every stored token."""
    x, pos = model.embed(stored.asked), stored.pos[stored.n:]
    rows, total = stored.node(), torch.zeros(stored.n, dtype=REAL)
    for layer in range(max(layers) + 1):
        q, k, v = model.qkv(layer, x)
        if layer in layers:
            total += votes(layer, model.rotate(layer, q, pos).transpose(0, 1), pos) / len(layers)
        k, v = torch.cat((stored.kv[layer][0], k)), torch.cat((stored.kv[layer][1], v))
        x = model.rest(layer, x, model.attention(layer, q, pos, k, stored.pos, v, stored.causal(rows)))
    return total


def repaired(model, stored, chosen):
    """Logits when the chosen tokens and the last node are computed again from the embeddings."""
    rows = sorted(chosen) + stored.node()
    x = model.embed([stored.all_ids[i] for i in rows])
    for layer in range(model.layers):
        q, fresh_k, fresh_v = model.qkv(layer, x)
        blank = torch.zeros(len(stored.asked), *fresh_k.shape[1:], dtype=REAL)
        k, v = torch.cat((stored.kv[layer][0], blank)), torch.cat((stored.kv[layer][1], blank))
        k[rows], v[rows] = fresh_k, fresh_v
        x = model.rest(layer, x, model.attention(layer, q, stored.pos[rows], k, stored.pos, v, stored.causal(rows)))
    return model.logits(x[-1])


def prophetkv(model, prompt, r=0.2, window=1, layers=None):
    """The tokens that the question's rows attend to most are computed again."""
    if not prompt.contexts:
        return full(model, prompt)
    stored = Stored(model, prompt)
    voters = len(prompt.question)

    def votes(layer, q, pos):
        return context_softmax(model, layer, stored, q[:, :voters], pos[:voters]).mean((0, 1))

    scores = probed(model, stored, votes, layers or list(range(model.layers)))
    budget = math.floor(r * (stored.n - stored.prefix) + 1e-9)
    end_of, place = {}, stored.prefix
    for ids in prompt.contexts:
        end_of.update({i: place + len(ids) for i in range(place, place + len(ids))})
        place += len(ids)
    chosen = set()
    for i in highest(scores, budget // window, range(stored.prefix, stored.n)):
        chosen.update(range(i, min(i + window, end_of[i])))
    return repaired(model, stored, chosen), prompt.n


def qcfuse(model, prompt, k=16, layers=None, rows=64):
    """The same by one query a KV head: the mean of the rotated queries of the last rows and of the heads that share it."""
    if not prompt.contexts:
        return full(model, prompt)
    stored = Stored(model, prompt)

    def votes(layer, q, pos):
        mean = q[:, -rows:].mean(1).view(model.kv_heads, -1, model.dim).mean(1)
        return context_softmax(model, layer, stored, mean[:, None], pos[-1:]).mean((0, 1))

    first = model.layers // 3
    middle = list(range(first, max(2 * model.layers // 3, first + 1)))
    scores = probed(model, stored, votes, layers or middle)
    budget = min(k * len(prompt.contexts), stored.n - stored.prefix)
    return repaired(model, stored, highest(scores, budget, range(stored.prefix, stored.n))), prompt.n


def kvshift(model, prompt, r=0.1):
    """All rows in layers 0 and 1; then the rows of each passage that changed most, and the others moved by the mean
    change of these. Keys change, and move, where they stand: rotated to their places."""
    if not prompt.contexts:
        return full(model, prompt)
    stored = Stored(model, prompt)
    every = list(range(len(stored.all_ids)))
    x = model.embed(stored.all_ids)
    q, k, v = model.qkv(0, x)
    x = model.rest(0, x, model.attention(0, q, stored.pos, k, stored.pos, v, stored.causal(every)))

    q, k, v = model.qkv(1, x)
    at = stored.pos[:stored.n]
    turned = lambda layer, keys: model.rotate(layer, keys, at)
    d = [(turned(1, k[:stored.n]) - turned(1, stored.kv[1][0])).flatten(1).norm(dim=1),
         (v[:stored.n] - stored.kv[1][1]).flatten(1).norm(dim=1)]
    passages, place = [], stored.prefix
    for ids in prompt.contexts:
        tokens = range(place, place + len(ids))
        n = math.ceil(r * len(ids) - 1e-9)
        passages.append((tokens, highest(d[0], n, tokens), highest(d[1], n, tokens)))
        place += len(ids)
    chosen = sorted({i for _, by_k, by_v in passages for i in by_k + by_v})
    rows = chosen + stored.node()
    x = model.rest(1, x[rows], model.attention(1, q[rows], stored.pos[rows], k, stored.pos, v, stored.causal(rows)))

    for layer in range(2, model.layers):
        q, fresh_k, fresh_v = model.qkv(layer, x)
        blank = torch.zeros(len(stored.asked), *fresh_k.shape[1:], dtype=REAL)
        k, v = torch.cat((stored.kv[layer][0], blank)), torch.cat((stored.kv[layer][1], blank))
        k[rows], v[rows] = fresh_k, fresh_v
        change_k = turned(layer, k[:stored.n]) - turned(layer, stored.kv[layer][0])
        change_v = v[:stored.n] - stored.kv[layer][1]
        for tokens, by_k, by_v in passages:
            for i in set(tokens) - set(chosen):
                if by_k:
                    move = change_k[by_k].mean(0) * min(float(d[0][i]), 1.0)
                    k[i] += model.rotate(layer, move[None], -stored.pos[i:i + 1])[0]  # the store is not rotated
                    v[i] += change_v[by_v].mean(0) * min(float(d[1][i]), 1.0)
        x = model.rest(layer, x, model.attention(layer, q, stored.pos[rows], k, stored.pos, v, stored.causal(rows)))
    return model.logits(x[-1]), prompt.n


# --- trained modes, run untrained --------------------------------------------------------------------------------

def kvlink(model, prompt, k=0):
    assert k == 0, "link embeddings are trained"
    return block(model, prompt)


def sink(model, prompt, encode="local", head=()):
    """Contexts are encoded right after the prefix (global: at their place), seeing it, and seen at their place.
    `head`: tokens put before every context."""
    lp = len(prompt.prefix)
    prefix = Rows(prompt.prefix) if lp else None
    runs, places, place = [], [], lp
    for ids in prompt.contexts:
        context = Rows(list(head) + ids, start=place if encode == "global" else lp)
        if prefix:
            context.see(prefix, at=0)
        runs.append(context)
        places.append(place)
        place += context.n
    viewer = Rows(prompt.question, start=place)
    if prefix:
        viewer.see(prefix, at=0)
    for context, at in zip(runs, places):
        viewer.see(context, at=at)
    return answer(model, ([prefix] if prefix else []) + runs + [viewer]), place + viewer.n


def blockdist(model, prompt):
    return sink(model, prompt, head=[model.newline] * 4)


# --- what is stored ----------------------------------------------------------------------------------------------

PLAIN = ["two", "unequal", "repeated", "no-system", "minimal"]
LARGE = ["ten", "long"]
EIGHT = PLAIN + LARGE + ["task"]
TASK = ["task", "task-no-system", "task-first"]
SECOND_MODEL = ["unequal", "no-system", "ten", "task"]

# file: (function, prompts, [(parameters as spelled on the command line, the same as arguments)])
GOLDEN = {
    "block-n": (block, PLAIN, [("n=2", {"n": 2})]),
    "block-nopos": (block_nopos, PLAIN + LARGE[:1], [("", {})]),
    "turborag": (turborag, PLAIN[:2], [("", {}), ("order=reordered", {"order": "reordered"})]),
    "promptcache": (promptcache, PLAIN, [("", {}), ("scaffold=none", {"scaffold": "none"}), ("skip=1", {"skip": 1})]),
    "pcw": (pcw, PLAIN + LARGE[:1], [("", {})]),
    "ape": (ape, PLAIN + LARGE[:1], [("", {}), ("form=paper", {"form": "paper"}),
                                     ("t=0.5,s=1.2", {"t": 0.5, "s": 1.2}),
                                     ("t=1,s=0.7,form=paper", {"t": 1.0, "s": 0.7, "form": "paper"})]),
    "selective": (selective, PLAIN + LARGE[:1], [("", {}), ("k=1", {"k": 1}), ("agg=ht", {"agg": "ht"})]),
    "superposition": (superposition, TASK, [("", {}), ("topk=1", {"topk": 1}), ("topk=2", {"topk": 2}),
                                            ("topk=2,qfirst=no", {"topk": 2, "qfirst": "no"}),
                                            ("positions=max", {"positions": "max"}),
                                            ("topk=2,positions=max", {"topk": 2, "positions": "max"})]),
    "lego": (lego, PLAIN + LARGE, [("", {}), ("k=1", {"k": 1}), ("k=64", {"k": 64}), ("qbos=no", {"qbos": "no"})]),
    "lego-0": (lego_0, PLAIN + LARGE[:1], [("", {})]),
    "cacheblend": (cacheblend, PLAIN + LARGE, [
        ("", {}), ("r=0.15,score=k", {"r": 0.15, "score": "k"}), ("mask=bottomright", {"mask": "bottomright"}),
        ("mask=bottomright,brlayer=2", {"mask": "bottomright", "brlayer": 2}), ("n=context", {"n": "context"}),
        ("r=1", {"r": 1.0}), ("r=0", {"r": 0.0})]),
    "kvlink": (kvlink, PLAIN[:2], [("k=0", {"k": 0})]),
    "sink": (sink, PLAIN + LARGE[:1], [("", {}), ("encode=global", {"encode": "global"})]),
    "blockdist": (blockdist, PLAIN + LARGE[:1], [("", {})]),
    "splice": (splice, EIGHT, [("", {}), ("donor=shuffle", {"donor": "shuffle"}),
                               ("donor=shuffle,seed=3", {"donor": "shuffle", "seed": 3}),
                               ("donor=self", {"donor": "self"})]),
    "editlocal": (editlocal, EIGHT, [("", {}), ("k=0", {"k": 0}), ("k=7", {"k": 7}), ("k=1000", {"k": 1000})]),
    "prophetkv": (prophetkv, EIGHT, [("", {}), ("r=0.05", {"r": 0.05}), ("r=0.3,window=4", {"r": 0.3, "window": 4}),
                                     ("layers=2+11+12", {"layers": [2, 11, 12]}), ("r=0", {"r": 0.0}),
                                     ("r=1", {"r": 1.0})]),
    "qcfuse": (qcfuse, EIGHT, [("", {}), ("k=4,rows=8", {"k": 4, "rows": 8}), ("layers=5", {"layers": [5]}),
                               ("k=0", {"k": 0}), ("k=1000", {"k": 1000})]),
    "kvshift": (kvshift, EIGHT, [("", {}), ("r=0.03", {"r": 0.03}), ("r=0.5", {"r": 0.5}), ("r=0", {"r": 0.0}),
                                 ("r=1", {"r": 1.0})]),
}
FIRST_ONLY_ON_LARGE = True  # only the small prompts distinguish variants of a mode


def entry(mode, prompt, n_tokens, logits):
    """One stored result: the 64 largest logits, highest first, and the log-sum-exp of all."""
    top = torch.topk(logits.double(), 64)
    return {"mode": mode, "prompt": prompt, "n_tokens": n_tokens, "ids": top.indices.tolist(),
            "values": [round(v, 5) for v in top.values.tolist()],
            "logsumexp": round(float(torch.logsumexp(logits.double(), -1)), 6)}


def write(folder, name, made_by, results):
    with open(os.path.join(HERE, folder, name + ".json"), "w") as f:
        f.write('{"made_by": %s, "results": [\n%s\n]}\n' % (
            json.dumps(made_by), ",\n".join(json.dumps(r, separators=(",", ":")) for r in results)))


def load_prompts(folder):
    with open(os.path.join(HERE, folder, "prompts.json")) as f:
        return {r["name"]: Prompt(r) for r in json.load(f)["requests"]}


def class_of(reader):
    return {"llama": Llama, "gemma3": Gemma}[reader.fields["general.architecture"].contents()]


def load_model(path):
    reader = GGUFReader(path)
    return class_of(reader)(reader)


# Models that have golden logits of transformers only: folder by architecture and number of layers.
BY_TRANSFORMERS = {("qwen2", 24): "qwen2.5-0.5b", ("qwen2", 28): "qwen2.5-1.5b"}


def folder_of(path):
    reader = GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    layers = reader.fields[arch + ".block_count"].contents()
    return BY_TRANSFORMERS.get((arch, layers)) or class_of(reader).folder


def cases(folder, name):
    """(spelled, arguments, prompt) of a file."""
    _, on, variants = GOLDEN[name]
    for i, (spelled, arguments) in enumerate(variants):
        for p in on:
            large = p in LARGE and i and FIRST_ONLY_ON_LARGE
            if not large and (not folder or (p in SECOND_MODEL and not i)):
                yield spelled, arguments, p


def main(path, names):
    model = load_model(path)
    prompts = load_prompts(model.folder)
    for name in names or GOLDEN:
        function, results = GOLDEN[name][0], []
        word = function.__name__.replace("_", "-")
        for spelled, arguments, p in cases(model.folder, name):
            mode = word + (":" + spelled if spelled else "")
            logits, n_tokens = function(model, prompts[p], **arguments)
            results.append(entry(mode, p, n_tokens, logits))
            if function is editlocal:
                results[-1]["before"] = {"segment": prompts[p].segments.index(prompts[p].contexts[0]),
                                         "ids": before_edit(prompts[p])}
            print(mode, p, n_tokens, results[-1]["ids"][0], results[-1]["values"][0], flush=True)
        write(model.folder, name, "oracle.py, double precision", results)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with torch.no_grad():
        main(sys.argv[1], sys.argv[2:])
