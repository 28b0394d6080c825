"""Put trained parts together as standard diffusers folders, in half precision.

Every folder stands alone: `DiffusionPipeline.from_pretrained(folder)` needs nothing of ours.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderTiny,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import Regex, normalizers, processors
from transformers import CLIPTextModelWithProjection, T5Config, T5EncoderModel

from arena.embedded import text
from arena.embedded.nets import TRAINED_SIZES, make_ddim

SHIFT = 2.0  # spends more of the sampler's steps where the picture is still noise


def _encoder(folder: Path) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection.from_pretrained(folder, dtype=torch.float32)


def _silent_t5(like: CLIPTextModelWithProjection, width: int) -> T5EncoderModel:
    """A T5 that says nothing: the stock SD3 pipeline cannot be loaded without one."""
    config = T5Config(
        vocab_size=like.config.vocab_size,
        d_model=width,
        d_kv=8,
        d_ff=8,
        num_layers=1,
        num_heads=1,
        dropout_rate=0.0,
        pad_token_id=text.PAD,
        eos_token_id=text.END,
    )
    silent = T5EncoderModel(config)
    torch.nn.init.zeros_(silent.encoder.final_layer_norm.weight)
    return silent


@torch.no_grad()
def _forget_sizes(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """SDXL tells its UNet sizes in pixels; ours met only one. Make what it learnt from that a constant."""
    first, known = unet.add_embedding.linear_1, 6 * unet.config.addition_time_embed_dim
    met = unet.add_time_proj(torch.tensor(TRAINED_SIZES).float()).flatten()
    first.bias += first.weight[:, -known:] @ met
    first.weight[:, -known:] = 0
    return unet


def build_unet(trained: Path, vae: Path) -> StableDiffusionXLPipeline:
    return StableDiffusionXLPipeline(
        vae=AutoencoderTiny.from_pretrained(vae),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=_encoder(trained / "text"),
        tokenizer_2=text.build_tokenizer(),
        unet=_forget_sizes(UNet2DConditionModel.from_pretrained(trained / "net")),
        scheduler=make_ddim(),
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


def build_flow(trained: Path, vae: Path) -> StableDiffusion3Pipeline:
    first, second = _encoder(trained / "text"), _encoder(trained / "second")
    deaf = text.build_tokenizer()  # reads nothing, so there is nothing to truncate and to warn of
    deaf.backend_tokenizer.normalizer = normalizers.Replace(Regex(r"[\s\S]+"), "")
    deaf.backend_tokenizer.post_processor = processors.Sequence([])
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel.from_pretrained(trained / "net"),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        vae=AutoencoderTiny.from_pretrained(vae),
        text_encoder=first,
        tokenizer=text.build_tokenizer(),
        text_encoder_2=second,
        tokenizer_2=text.build_tokenizer(),
        text_encoder_3=_silent_t5(first, first.config.projection_dim + second.config.projection_dim),
        tokenizer_3=deaf,
    )


def _tidy(folder: Path) -> None:
    """Take out what is of no use to others: where a part lay while it was trained, and a value that AutoencoderTiny
    writes although it derives it itself, and then warns of when it reads it."""
    for config in folder.glob("*/config.json"):
        values = json.loads(config.read_text())
        values.pop("_name_or_path", None)
        if config.parent.name == "vae":
            values.pop("block_out_channels", None)
        config.write_text(json.dumps(values, indent=2) + "\n")


BUILDERS = {"unet": build_unet, "flow": build_flow}


def assemble(family: str, trained: Path, vae: Path, out: Path) -> float:
    """Write the pipeline's folder anew and return its size in MB."""
    pipeline = BUILDERS[family](trained, vae).to(torch.float16)
    shutil.rmtree(out, ignore_errors=True)
    pipeline.save_pretrained(out, safe_serialization=True)
    _tidy(out)
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
