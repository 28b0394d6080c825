"""Train one diffusion model on the encoded pictures.

The rate stays level and falls to zero over the last 40% of the steps. A stopped run goes on from its last
checkpoint.

What made small budgets enough: bf16 copies of the network over float32 weights (bf16 matrix products are
ten times faster on a CPU with AVX512-BF16), plain instead of fused attention (the fused backward pass is
slow at 64 tokens), Muon on the blocks' matrices, and three quarters of the loss on the things themselves.
"""

from __future__ import annotations

import contextlib
import copy
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch.nn import functional
from transformers import CLIPTextModelWithProjection

from arena.embedded import text
from arena.embedded.autoencoder import to_tensor
from arena.embedded.draw import draw_background
from arena.embedded.nets import FAMILIES
from arena.embedded.pictures import load_scenes
from arena.embedded.world import BACKGROUNDS, STYLE_GROUND, Scene, caption

BATCH = 64
ADAM_RATE = 1e-3
MUON_RATE = {"unet": 2e-3, "flow": 3e-3}
TEXT_SHARE = 0.3  # of the rate: the encoder comes pre-trained
EMPTY = 0.1  # of the captions, for guidance
FOREGROUND = 3.0  # extra weight where a thing stands
WARMUP = 100
DECAY = 0.4
AVERAGE = 0.999
SAVE_EVERY = 300  # seconds


def _foreground(latents: np.ndarray, scenes: list[Scene], vae_folder: Path) -> np.ndarray:
    """Where a picture's latent differs from that of its background alone."""
    vae = AutoencoderTiny.from_pretrained(vae_folder)
    names = (*BACKGROUNDS, *STYLE_GROUND.values())
    with torch.no_grad():
        empty = vae.encode(to_tensor(np.stack([np.asarray(draw_background(n)) for n in names]))).latents.numpy()
    which = np.array([names.index(s.background) for s in scenes])
    mask = np.empty((len(latents), 1, *latents.shape[2:]), bool)
    for k in range(0, len(latents), 1000):
        part = latents[k : k + 1000].astype(np.float32) - empty[which[k : k + 1000]]
        mask[k : k + 1000] = np.abs(part).mean(1, keepdims=True) > 0.3
    return mask


def _plain_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    scores = (query * (scale or query.shape[-1] ** -0.5)) @ key.transpose(-2, -1)
    if is_causal:
        scores = scores + torch.full(scores.shape[-2:], -torch.inf, dtype=scores.dtype).triu(1)
    if attn_mask is not None:
        bias = scores.new_zeros(()).masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else attn_mask
        scores = scores + bias
    return scores.softmax(-1) @ value


@contextlib.contextmanager
def plain_attention() -> Iterator[None]:
    """Attention as two matrix products while training; the fused one is slow backwards on a CPU."""
    fused = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = _plain_attention
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = fused


class Learner:
    """The model, a float32 master and a running average of every weight, and two optimisers."""

    def __init__(self, family: str, encoder: CLIPTextModelWithProjection) -> None:
        self.model = FAMILIES[family](encoder)
        self.live = list(self.model.parameters())
        matrices, others, words = [], [], []
        self.masters: list[torch.Tensor] = []
        for name, weight in self.model.named_parameters():
            in_block = "blocks" in name or "mid_block" in name
            muon = name.startswith("net.") and in_block and weight.ndim >= 2 and "norm" not in name
            master = weight.detach().float().clone()
            master = master.flatten(1) if muon else master  # a convolution is a matrix, too
            self.masters.append(master)
            (matrices if muon else others if name.startswith("net.") else words).append(master)
        self.averages = [m.clone() for m in self.masters]
        for part in self.model.children():
            part.to(torch.bfloat16)
        self.adam = torch.optim.AdamW([{"params": others}, {"params": words}], betas=(0.9, 0.99), weight_decay=0.01)
        self.muon = torch.optim.Muon(matrices, weight_decay=0.01, momentum=0.95, adjust_lr_fn="match_rms_adamw")
        self.muon_rate = MUON_RATE[family]
        self.steps, self.seconds = 0, 0.0

    def step(self, loss: torch.Tensor, level: float) -> None:
        loss.backward()
        for weight, master in zip(self.live, self.masters, strict=True):
            master.grad = None if weight.grad is None else weight.grad.float().view_as(master)
            weight.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0)
        others, words = self.adam.param_groups
        others["lr"], words["lr"] = ADAM_RATE * level, ADAM_RATE * level * TEXT_SHARE
        self.muon.param_groups[0]["lr"] = self.muon_rate * level
        self.adam.step()
        self.muon.step()
        self.steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, self.masters, 1 - min(AVERAGE, self.steps / (self.steps + 20)))
            for weight, master in zip(self.live, self.masters, strict=True):
                weight.copy_(master.view_as(weight))

    def state(self) -> dict:
        return {
            "masters": self.masters,
            "averages": self.averages,
            "adam": self.adam.state_dict(),
            "muon": self.muon.state_dict(),
            "steps": self.steps,
            "seconds": self.seconds,
        }

    @torch.no_grad()
    def restore(self, state: dict) -> None:
        for mine, stored in ((self.masters, state["masters"]), (self.averages, state["averages"])):
            for a, b in zip(mine, stored, strict=True):
                a.copy_(b)
        for weight, master in zip(self.live, self.masters, strict=True):
            weight.copy_(master.view_as(weight))
        self.adam.load_state_dict(state["adam"])
        self.muon.load_state_dict(state["muon"])
        self.steps, self.seconds = state["steps"], state["seconds"]

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        """The averaged weights, each part in a folder of its own."""
        whole = copy.deepcopy(self.model).float()
        for weight, average in zip(whole.parameters(), self.averages, strict=True):
            weight.copy_(average.view_as(weight))
        for name, part in whole.named_children():
            part.save_pretrained(folder / name)


def train(
    work: Path, family: str, steps: int, seed: int = 0, keep_at: tuple[int, ...] = (), resume: bool = True
) -> None:
    """Train for so many steps; exports go to `work/<family>-<step>` at the steps of `keep_at`, and to `-final`."""
    torch.manual_seed(seed)
    scenes = load_scenes(work)
    latents = np.load(work / "latents.npy")
    mask = _foreground(latents, scenes, work / "vae")
    learner = Learner(family, CLIPTextModelWithProjection.from_pretrained(work / "text"))
    saved = work / f"{family}.pt"
    if resume and saved.exists():
        learner.restore(torch.load(saved))
    rng, dice = random.Random(seed + learner.steps), np.random.default_rng(seed + learner.steps)
    size = sum(p.numel() for p in learner.model.net.parameters()) / 1e6
    print(f"{family}: {size:.2f} M weights, at step {learner.steps}, {learner.seconds:.0f} s", flush=True)
    losses: list[float] = []
    before, last_save = time.monotonic(), time.monotonic()
    with plain_attention():
        while (done := learner.steps / steps) < 1:
            level = min(1, (learner.steps + 1) / WARMUP, (1 - done) / DECAY)
            index = dice.integers(0, len(scenes), BATCH)
            words = ["" if rng.random() < EMPTY else caption(scenes[k], rng) for k in index]
            weight = torch.from_numpy(mask[index]).float() * FOREGROUND + 1
            clean = torch.from_numpy(latents[index].astype(np.float32))
            loss = learner.model.loss(clean, text.encode(words, rng), weight / weight.mean())
            learner.step(loss, level)
            losses.append(loss.item())
            now = time.monotonic()
            learner.seconds, before = learner.seconds + now - before, now
            if learner.steps % 100 == 0:
                mean = np.mean(losses[-100:])
                print(f"{family} step {learner.steps} at {learner.seconds:.0f} s loss {mean:.4f}", flush=True)
            if learner.steps in keep_at:
                learner.export(work / f"{family}-{learner.steps}")
            if now - last_save > SAVE_EVERY:
                torch.save(learner.state(), saved.with_suffix(".part"))
                saved.with_suffix(".part").rename(saved)
                learner.export(work / f"{family}-latest")
                last_save = now
    torch.save(learner.state(), saved)
    learner.export(work / f"{family}-final")
