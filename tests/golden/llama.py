"""A decoder's forward over explicit visibility and explicit positions: plain, slow, in double precision.

What is computed is a list of `Rows`: runs of tokens, each encoded once. A run says for every other run which of its
rows it sees and where these stand *in its own frame*; scores rotate queries and keys to exactly these positions and go
through one dense softmax. Nothing is cached, shifted or merged, so this shares no idea with a fast implementation.
Weights are those of a GGUF file, dequantised to fp32 by the `gguf` package.
"""
import os

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize

torch.set_num_threads(int(os.environ.get("ORACLE_THREADS", "2")))
REAL = torch.float64


def real(x):
    return torch.as_tensor(np.asarray(x), dtype=REAL)


class View:
    """What a run sees of a run: keys `rows`[index], standing at `pos` (one per key) in the viewer's frame.

    visible: [viewer rows, keys] of bool. label: None, or a number that names a context for modes that treat contexts
    in a special way.
    """

    def __init__(self, rows, index, pos, visible, label=None):
        self.rows, self.index, self.label = rows, list(index), label
        self.pos, self.visible = real(pos), visible


class Rows:
    """One encoding of a run of tokens. Row r is at position pos[r]; it sees its own past, and what `see` has added."""

    def __init__(self, ids, start=0.0, step=1.0):
        self.ids = list(ids)
        self.n = len(self.ids)
        self.pos = float(start) + float(step) * torch.arange(self.n, dtype=REAL)
        self.views = [View(self, range(self.n), self.pos, torch.ones(self.n, self.n).tril().bool())]
        self.attend = softmax_attention

    def see(self, rows, at, step=1.0, index=None, label=None):
        """Shows rows[index] (default: all); row j of it is at position at + j * step."""
        index = range(rows.n) if index is None else index
        pos = [float(at) + float(step) * j for j in index]
        self.views.insert(len(self.views) - 1,
                          View(rows, index, pos, torch.ones(self.n, len(index)).bool(), label))
        return self


def softmax_attention(scores, values, labels):
    """scores [heads, rows, keys] (minus infinity where nothing is seen), values [heads, keys, dim]."""
    return torch.softmax(scores, -1) @ values


class Llama:
    folder = ""  # beside this file: where prompts and golden logits lie
    line_feed = "\u010a"  # in the byte-level alphabet

    def __init__(self, reader):
        arch = reader.fields["general.architecture"].contents()
        field = lambda key: reader.fields[key.replace("ARCH", arch)].contents()
        self.layers = field("ARCH.block_count")
        self.heads = field("ARCH.attention.head_count")
        self.kv_heads = field("ARCH.attention.head_count_kv")
        self.width = field("ARCH.embedding_length")
        self.dim = self.head_dim(field)
        self.eps = field("ARCH.attention.layer_norm_rms_epsilon")
        self.bos = field("tokenizer.ggml.bos_token_id")
        self.newline = field("tokenizer.ggml.tokens").index(self.line_feed)
        self.freq = self.frequencies(field("ARCH.rope.freq_base"))
        self.w = {t.name: real(dequantize(t.data, t.tensor_type)) for t in reader.tensors}
        self.head = self.w.get("output.weight", self.w["token_embd.weight"])

    def head_dim(self, field):
        return field("ARCH.rope.dimension_count")

    def frequencies(self, base):
        return float(base) ** (-2 * torch.arange(self.dim // 2, dtype=REAL) / self.dim)

    def norm(self, x, gain):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.w[gain]

    def rotate(self, layer, x, pos):
        """x [rows, heads, dim]. GGUF files keep the two halves of a rotary pair next to each other."""
        angle = pos[:, None] * self.freq
        cos, sin = torch.cos(angle)[:, None, :], torch.sin(angle)[:, None, :]
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

    def embed(self, ids):
        return self.w["token_embd.weight"][torch.tensor(ids)]

    def qkv(self, layer, x):
        """Queries [rows, heads, dim], keys and values [rows, kv_heads, dim], none rotated."""
        h = self.norm(x, "blk.%d.attn_norm.weight" % layer)
        project = lambda name, heads: (h @ self.w["blk.%d.%s.weight" % (layer, name)].T).view(-1, heads, self.dim)
        return project("attn_q", self.heads), project("attn_k", self.kv_heads), project("attn_v", self.kv_heads)

    def rest(self, layer, x, attended):
        """The part of the layer after its attention. attended [rows, heads * dim]."""
        w = lambda name: self.w["blk.%d.%s.weight" % (layer, name)].T
        x = x + attended @ w("attn_output")
        h = self.norm(x, "blk.%d.ffn_norm.weight" % layer)
        return x + (torch.nn.functional.silu(h @ w("ffn_gate")) * (h @ w("ffn_up"))) @ w("ffn_down")

    def window(self, layer):
        """Tokens that a row of the layer sees, itself included."""
        return float("inf")

    def attention(self, layer, q, q_pos, k, k_pos, v, visible, attend=softmax_attention, labels=None):
        """Rows [rows, heads * dim] of queries over keys that stand at k_pos."""
        q, k = self.rotate(layer, q, q_pos), self.rotate(layer, k, k_pos)
        visible = visible & (q_pos[:, None] - k_pos < self.window(layer))
        group = self.heads // self.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) / self.dim ** 0.5
        scores = scores.masked_fill(~visible, -torch.inf)
        return attend(scores, v.transpose(0, 1), labels).transpose(0, 1).flatten(1)

    def logits(self, x):
        return self.norm(x, "output_norm.weight") @ self.head.T

    def forward(self, runs):
        """Hidden rows after the last layer of every run, {Rows: [n, d_model]}."""
        sizes = [r.n for r in runs]
        x = torch.cat([self.embed(r.ids) for r in runs])
        for layer in range(self.layers):
            q, k, v = (dict(zip(runs, part.split(sizes))) for part in self.qkv(layer, x))
            attended = []
            for run in runs:
                labels = [view.label for view in run.views for _ in view.index]
                attended.append(self.attention(
                    layer, q[run], run.pos,
                    torch.cat([k[s.rows][s.index] for s in run.views]), torch.cat([s.pos for s in run.views]),
                    torch.cat([v[s.rows][s.index] for s in run.views]),
                    torch.cat([s.visible for s in run.views], 1), run.attend, labels))
            x = self.rest(layer, x, torch.cat(attended))
        return dict(zip(runs, x.split(sizes)))
