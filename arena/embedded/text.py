"""The words' side: a word-level tokenizer and a small CLIP text encoder.

The encoder first learns to name what a caption says (colours, shapes, places ...), which takes two
minutes; the diffusion models then tune it further, gently. Without it they spend their first hour
finding out what words mean.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, PreTrainedTokenizerFast

from arena.embedded.world import (
    BACKGROUNDS,
    COLOURS,
    PLACES,
    SHAPES,
    SIZES,
    STYLE_GROUND,
    STYLES,
    WORDS,
    Scene,
    caption,
    random_scene,
    split_words,
)

LENGTH = 24  # tokens, with the marks of beginning and end
WIDTH = 128
# An end mark with id 2 would switch CLIP to its old way of pooling.
PAD, UNKNOWN, BEGIN, END = range(4)
IDS: dict[str, int] = {w: i for i, w in enumerate(("<pad>", "<unk>", "<bos>", "<eos>", *WORDS))}


def build_tokenizer() -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel(IDS, unk_token="<unk>"))
    core.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = [("<bos>", BEGIN), ("<eos>", END)]
    core.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", pair=None, special_tokens=marks)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        model_max_length=LENGTH,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
    )


def encode(captions: list[str], rng: random.Random | None = None) -> torch.Tensor:
    """Token ids as the tokenizer gives them; with `rng`, now and then a word becomes an unknown one."""
    rows = []
    for text in captions:
        ids = [IDS.get(word, UNKNOWN) for word in split_words(text)]
        if rng and ids:
            ids = [UNKNOWN if rng.random() < 0.01 else i for i in ids]
            if rng.random() < 0.1:
                ids.insert(rng.randrange(len(ids) + 1), UNKNOWN)
        ids = [BEGIN, *ids[: LENGTH - 2], END]
        rows.append(ids + [PAD] * (LENGTH - len(ids)))
    return torch.tensor(rows)


def build_encoder() -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(
        CLIPTextConfig(
            vocab_size=-(-len(IDS) // 8) * 8,
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            projection_dim=WIDTH,
            pad_token_id=PAD,
            bos_token_id=BEGIN,
            eos_token_id=END,
        )
    )


_GROUNDS = (*BACKGROUNDS, *STYLE_GROUND.values())
_TABLES = [STYLES, _GROUNDS, *[(*t, None) for t in (COLOURS, SHAPES, PLACES, SIZES) for _ in range(2)]]


def _answers(scene: Scene) -> list[int]:
    """What the caption says, as one index a table: style, background, then each attribute of both things."""
    two = (*scene.things, None)[:2]
    facts = [scene.style, scene.background]
    facts += [thing and getattr(thing, name) for name in ("colour", "shape", "place", "size") for thing in two]
    return [list(table).index(fact) for table, fact in zip(_TABLES, facts, strict=True)]


def pretrain(out: Path, steps: int, seed: int = 0, batch: int = 64, rate: float = 2e-3) -> None:
    """Teach a new encoder to answer what each caption says."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    encoder = build_encoder()
    heads = nn.ModuleList(nn.Linear(WIDTH, len(table)) for table in _TABLES)
    learnt = [*encoder.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(learnt, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(1, steps + 1):
        optimiser.param_groups[0]["lr"] = (
            rate * min(1, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-5
        )
        scenes = [random_scene(rng) for _ in range(batch)]
        pooled = encoder(encode([caption(s, rng) for s in scenes], rng)).text_embeds
        target = torch.tensor([_answers(s) for s in scenes])
        guesses = [head(pooled) for head in heads]
        loss = sum(nn.functional.cross_entropy(g, target[:, k]) for k, g in enumerate(guesses)) / len(guesses)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        if step % 200 == 0:
            right = [f"{(g.argmax(1) == target[:, k]).float().mean():.2f}" for k, g in enumerate(guesses)]
            print(f"text step {step} loss {loss.item():.3f} right {' '.join(right)}", flush=True)
    encoder.save_pretrained(out)
