"""Gemma 3 as it differs from llama.py: norms of queries and keys and after both halves of a layer, GeGLU, scaled
embeddings, and five layers of six that see a window of tokens only and rotate with a base of their own."""
import torch

from llama import Llama

PATTERN, LOCAL_BASE = 6, 10000.0  # which no GGUF file says


class Gemma(Llama):
    folder = "gemma3"
    line_feed = "\n"

    def __init__(self, reader):
        super().__init__(reader)
        self.freq_local = self.frequencies(LOCAL_BASE)
        self.tokens_seen = reader.fields["gemma3.attention.sliding_window"].contents()

    def head_dim(self, field):
        return field("ARCH.attention.key_length")

    def is_local(self, layer):
        return layer % PATTERN != PATTERN - 1

    def window(self, layer):
        return self.tokens_seen if self.is_local(layer) else float("inf")

    def rotate(self, layer, x, pos):
        """x [rows, heads, dim]; a rotary pair is (i, i + dim / 2)."""
        angle = pos[:, None] * (self.freq_local if self.is_local(layer) else self.freq)
        cos, sin = torch.cos(angle)[:, None, :], torch.sin(angle)[:, None, :]
        first, second = x.chunk(2, -1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)

    def embed(self, ids):
        return super().embed(ids) * self.width ** 0.5

    def qkv(self, layer, x):
        q, k, v = super().qkv(layer, x)
        return self.norm(q, "blk.%d.attn_q_norm.weight" % layer), self.norm(k, "blk.%d.attn_k_norm.weight" % layer), v

    def rest(self, layer, x, attended):
        name = lambda part: "blk.%d.%s.weight" % (layer, part)
        w = lambda part: self.w[name(part)].T
        x = x + self.norm(attended @ w("attn_output"), name("post_attention_norm"))
        h = self.norm(x, name("ffn_norm"))
        gated = torch.nn.functional.gelu(h @ w("ffn_gate"), approximate="tanh") * (h @ w("ffn_up"))
        return x + self.norm(gated @ w("ffn_down"), name("post_ffw_norm"))
