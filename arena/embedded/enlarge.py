"""Give the pictures twice the size: an autoencoder between the same latents and 256 x 256 pixels.

The diffusion models work on 16 x 16 latents and do not care how large a picture these become. The decoder starts
from the small one's weights, with one more stage, and learns from two kinds of latents: the true ones with noise,
and those that the trained models make for a caption. Since a caption settles its picture, the second kind has a
true picture, too, and the decoder learns to set right what the models get slightly wrong. The encoder, which only
image-to-image uses, is a narrow one that learns to give the small encoder's latents.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny, DiffusionPipeline
from torch import nn

from arena.embedded.autoencoder import CHANNELS, WIDTH, picture_loss, to_tensor
from arena.embedded.draw import draw
from arena.embedded.world import Scene, caption

SIZE = 256
CELL = 16  # pixels a latent
CROP = 8  # latents
BATCH = 8
RATE = 1e-3
ENCODER_WIDTH = 24


def build(small: AutoencoderTiny) -> AutoencoderTiny:
    large = AutoencoderTiny(
        encoder_block_out_channels=(ENCODER_WIDTH,) * 5,
        decoder_block_out_channels=(WIDTH,) * 5,
        num_encoder_blocks=(0, 0, 1, 1, 2),
        num_decoder_blocks=(2, 2, 1, 1, 0),
        latent_channels=CHANNELS,
    )
    old, new = small.decoder.layers, large.decoder.layers
    for k in range(len(old) - 1):
        new[k].load_state_dict(old[k].state_dict())
    new[-1].load_state_dict(old[-1].state_dict())
    with torch.no_grad():  # the new stage begins by handing on what it gets
        block = next(m for m in list(new)[len(old) - 1 :] if type(m).__name__ == "AutoencoderTinyBlock")
        block.conv[4].weight *= 0.1
        block.conv[4].bias.zero_()
        nn.init.dirac_(new[-2].weight)
    return large


@torch.no_grad()
def dream(folder: Path, scenes: list[Scene], out: Path, batch: int = 20) -> None:
    """Save the latents that a trained model makes for the scenes' captions, with few steps: they may be rough."""
    pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    settings = {"height": 128, "width": 128, "num_inference_steps": 8, "guidance_scale": 3.0}
    if "transformer" in pipeline.components:
        settings["max_sequence_length"] = 1
    made = []
    for k in range(0, len(scenes), batch):
        words = [caption(scene) for scene in scenes[k : k + batch]]
        dice = [torch.Generator().manual_seed(k + i) for i in range(len(words))]
        latents = pipeline(words, generator=dice, output_type="latent", **settings).images
        made.append(latents.numpy().astype(np.float16))
    np.save(out, np.concatenate(made))


def train(
    small: Path, scenes: list[Scene], latents: np.ndarray, dreamt: list[np.ndarray], out: Path, steps: int
) -> None:
    """Train on the scenes, their true latents and the dreamt ones."""
    torch.manual_seed(0)
    dice = np.random.default_rng(0)
    pictures = np.stack([np.asarray(draw(scene, SIZE)) for scene in scenes])
    vae = build(AutoencoderTiny.from_pretrained(small))
    average = copy.deepcopy(vae)
    learnt = list(vae.parameters())
    optimiser = torch.optim.AdamW(learnt, lr=RATE, betas=(0.9, 0.98), weight_decay=1e-3)
    for step in range(1, steps + 1):
        optimiser.param_groups[0]["lr"] = RATE * min(1, step / 50, (1 - step / steps) / 0.6)
        given = np.empty((BATCH, CHANNELS, CROP, CROP), np.float32)
        wanted = np.empty_like(given)
        crops = np.empty((BATCH, CROP * CELL, CROP * CELL, 3), np.uint8)
        for k in range(BATCH):
            i, (y, x) = dice.integers(len(scenes)), dice.integers(0, 16 - CROP + 1, 2)
            window = np.s_[i, :, y : y + CROP, x : x + CROP]
            wanted[k] = latents[window]
            if k % 2 and dreamt:
                given[k] = dreamt[dice.integers(len(dreamt))][window]
            else:
                given[k] = wanted[k] + 0.15 * dice.standard_normal(wanted[k].shape)
            crops[k] = pictures[i, CELL * y : CELL * (y + CROP), CELL * x : CELL * (x + CROP)]
        true = to_tensor(crops)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made = vae.decode(torch.from_numpy(given)).sample
            seen = vae.encode(true).latents
        loss = picture_loss(made.float(), true) + 0.3 * (seen.float() - torch.from_numpy(wanted)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), learnt, 1 - min(0.995, step / (step + 19)))
        if step % 50 == 0:
            print(f"large autoencoder step {step} loss {loss.item():.4f}", flush=True)
    average.save_pretrained(out)
