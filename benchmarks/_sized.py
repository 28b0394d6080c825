"""SDXL and FLUX.1 at their published sizes with random weights: as heavy as the real ones, without a download.

The numbers are those of the models' published configurations. Tokenizers are the tests' tiny ones, so texts mean nothing,
which the time does not notice. Weights are drawn on the device, in the type that the roster runs them in.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as d
import torch
import transformers as t

from tests.tiny_pipelines import clip_tokenizer, t5_tokenizer

VAE = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2, "norm_num_groups": 32, "sample_size": 1024,
}  # fmt: skip


def clip(width: int, layers: int, heads: int, projection: int) -> t.CLIPTextConfig:
    return t.CLIPTextConfig(vocab_size=49408, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                            num_attention_heads=heads, projection_dim=projection, max_position_embeddings=77,
                            bos_token_id=512, eos_token_id=513, pad_token_id=513)  # fmt: skip


def on_the_cpu(kind: type) -> Any:
    with torch.device("cpu"):
        return kind()


def sdxl() -> d.DiffusionPipeline:
    unet = d.UNet2DConditionModel(
        sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2, cross_attention_dim=2048,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(5, 10, 20),
        transformer_layers_per_block=(1, 2, 10), use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    )  # fmt: skip
    return d.StableDiffusionXLPipeline(
        vae=d.AutoencoderKL(latent_channels=4, scaling_factor=0.13025, **VAE), unet=unet,
        text_encoder=t.CLIPTextModel(clip(768, 12, 12, 768)),
        text_encoder_2=t.CLIPTextModelWithProjection(clip(1280, 32, 20, 1280)), tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(), scheduler=on_the_cpu(d.EulerDiscreteScheduler),
    )  # fmt: skip


def flux() -> d.DiffusionPipeline:
    transformer = d.FluxTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=19, num_single_layers=38, attention_head_dim=128,
        num_attention_heads=24, joint_attention_dim=4096, pooled_projection_dim=768, guidance_embeds=False,
        axes_dims_rope=(16, 56, 56),
    )  # fmt: skip
    encoder = t.T5EncoderModel(t.T5Config(
        vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu",
    ))  # fmt: skip
    autoencoder = d.AutoencoderKL(latent_channels=16, use_quant_conv=False, use_post_quant_conv=False,
                                  shift_factor=0.1159, scaling_factor=0.3611, **VAE)  # fmt: skip
    return d.FluxPipeline(
        transformer=transformer, scheduler=on_the_cpu(d.FlowMatchEulerDiscreteScheduler), vae=autoencoder,
        text_encoder=t.CLIPTextModel(clip(768, 12, 12, 768)), tokenizer=clip_tokenizer(), text_encoder_2=encoder,
        tokenizer_2=t5_tokenizer(),
    )  # fmt: skip


# size -> builder, type of the weights, the row's settings
SIZES: dict[str, tuple[Callable[[], d.DiffusionPipeline], str, dict[str, Any]]] = {
    "sdxl": (sdxl, "float16", {"num_inference_steps": 30, "guidance_scale": 5.0, "height": 1024, "width": 1024}),
    "flux": (flux, "bfloat16", {"num_inference_steps": 4, "guidance_scale": 0.0, "height": 1024, "width": 1024,
                                "max_sequence_length": 256}),
}  # fmt: skip


def save(size: str, folder: Path, device: str) -> dict[str, Any]:
    """Build a pipeline and save it as a diffusers folder; returns the row that runs it."""
    build, dtype, settings = SIZES[size]
    usual = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            pipeline = build()
    finally:
        torch.set_default_dtype(usual)
    pipeline.to("cpu", getattr(torch, dtype)).save_pretrained(folder)
    return {"source": folder.name, "pipeline": {"dtype": dtype}, "settings": settings}
