"""Train the picture autoencoder: 128 x 128 pixels to 8 channels at 16 x 16 and back.

A stock `AutoencoderTiny`. Started at random it sits on a plateau, so three of its channels begin as the
plain mean colour of their block and everything else is learnt around them. In the first part encoder and
decoder learn together; then each latent channel is scaled to mean 0 and deviation 1 (folded into the
weights), the encoder is frozen, and the decoder goes on learning alone.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import nn

CHANNELS = 8
WIDTH = 48
CROP = 64  # crops hold whole edges and cost a quarter
BATCH = 16
RATE = 2e-3


def build() -> AutoencoderTiny:
    vae = AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 1, 1, 2),
        num_decoder_blocks=(2, 2, 1, 0),
        latent_channels=CHANNELS,
    )
    _carry_mean_colour(vae)
    return vae


@torch.no_grad()
def _carry_mean_colour(vae: AutoencoderTiny) -> None:
    for module in vae.modules():
        if type(module).__name__ == "AutoencoderTinyBlock":
            last = module.conv[4]
            last.weight *= 0.1
            last.weight[:3] *= 0.1
            last.bias.zero_()

    def carry(conv: nn.Conv2d, scale: float = 1.0, bias: float = 0.0, halve: bool = False) -> None:
        for c in range(3):
            conv.weight[c] = 0
            if halve:
                conv.weight[c, c, 1:, 1:] = 0.25
            else:
                conv.weight[c, c, 1, 1] = scale
            if conv.bias is not None:
                conv.bias[c] = bias

    down = [m for m in vae.encoder.layers if isinstance(m, nn.Conv2d)]
    up = [m for m in vae.decoder.layers if isinstance(m, nn.Conv2d)]
    up[-1].weight *= 0.1
    up[-1].bias.zero_()
    carry(down[0])
    for conv in down[1:-1]:
        carry(conv, halve=True)
    carry(down[-1], scale=3.0, bias=-1.5)
    carry(up[0], scale=1 / 3, bias=0.5)
    for conv in up[1:]:
        carry(conv)


def to_tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def _fold_scale(vae: AutoencoderTiny, sample: torch.Tensor) -> None:
    """Make every latent channel of the sample mean 0 and deviation 1, without changing any picture."""
    latents = torch.cat([vae.encode(part).latents for part in sample.split(16)])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    last = [m for m in vae.encoder.layers if isinstance(m, nn.Conv2d)][-1]
    first = next(m for m in vae.decoder.layers if isinstance(m, nn.Conv2d))
    last.weight /= deviation[:, None, None, None]
    last.bias.copy_((last.bias - mean) / deviation)
    first.bias += (first.weight * mean[None, :, None, None]).sum((1, 2, 3))
    first.weight *= deviation[None, :, None, None]


def picture_loss(made: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Pixels, and their differences: edges are what tells shapes apart."""
    error = made - true
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * edges


def train(pictures: np.ndarray, out: Path, steps: int, part: str, seed: int = 0) -> None:
    """Train for so many steps: `part` is "joint" (from scratch) or "decoder" (goes on from it)."""
    torch.manual_seed(seed)
    dice = np.random.default_rng(seed + (part == "decoder"))
    joint = part == "joint"
    vae = build() if joint else AutoencoderTiny.from_pretrained(out)
    learnt = list(vae.parameters() if joint else vae.decoder.parameters())
    vae.encoder.requires_grad_(joint)
    average = copy.deepcopy(vae)
    optimiser = torch.optim.AdamW(learnt, lr=RATE, betas=(0.9, 0.98), weight_decay=1e-3)
    for step in range(1, steps + 1):
        optimiser.param_groups[0]["lr"] = (
            RATE * min(1, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-5
        )
        crops = np.empty((BATCH, CROP, CROP, 3), np.uint8)
        for k, index in enumerate(dice.integers(0, len(pictures), BATCH)):
            y, x = dice.integers(0, 128 - CROP + 1, 2)
            crops[k] = pictures[index, y : y + CROP, x : x + CROP]
        true = to_tensor(crops)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.set_grad_enabled(joint):
                latents = vae.encode(true).latents
            latents = latents.float()
            # The decoder will meet latents that are only nearly right.
            made = vae.decode(latents + (0.1 if joint else 0.15) * torch.randn_like(latents)).sample
        loss = picture_loss(made.float(), true)
        if joint:
            mean, variance = latents.mean((0, 2, 3)), latents.var((0, 2, 3))
            loss = loss + 0.01 * (mean.square().mean() + (variance - 1 - variance.clamp_min(1e-4).log()).mean())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(vae.parameters()), 1 - min(0.995, step / (step + 19)))
        if step % 100 == 0:
            print(f"autoencoder {part} step {step} loss {loss.item():.4f}", flush=True)
    if joint:
        _fold_scale(average, to_tensor(pictures[:256]))
    average.save_pretrained(out)


@torch.no_grad()
def encode_all(vae_folder: Path, pictures: np.ndarray, out: Path) -> None:
    """Encode every picture once; the diffusion models train on these alone."""
    vae = AutoencoderTiny.from_pretrained(vae_folder).to(torch.bfloat16)
    latents = np.empty((len(pictures), CHANNELS, 16, 16), np.float16)
    for k in range(0, len(pictures), 50):
        part = to_tensor(pictures[k : k + 50]).to(torch.bfloat16)
        latents[k : k + 50] = vae.encode(part).latents.float().numpy()
    part_file = out.with_suffix(".part.npy")
    np.save(part_file, latents)
    part_file.rename(out)
