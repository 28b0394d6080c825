"""SDXL and FLUX.1 with random weights, without a download: at their published sizes, as heavy as the real ones, and small
for a processor, with the same parts and blocks.

The large numbers are those of the models' published configurations. Tokenizers are the tests' tiny ones, so texts mean nothing,
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


def autoencoder(*widths: int, channels: int, layers: int = 2, **more: Any) -> d.AutoencoderKL:
    return d.AutoencoderKL(
        block_out_channels=widths, down_block_types=("DownEncoderBlock2D",) * len(widths), latent_channels=channels,
        up_block_types=("UpDecoderBlock2D",) * len(widths), layers_per_block=layers, norm_num_groups=32,
        sample_size=1024, **more)  # fmt: skip


def clip(width: int, layers: int, heads: int, projection: int) -> t.CLIPTextConfig:
    return t.CLIPTextConfig(vocab_size=49408, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                            num_attention_heads=heads, projection_dim=projection, max_position_embeddings=77,
                            bos_token_id=512, eos_token_id=513, pad_token_id=513)  # fmt: skip


def on_the_cpu(kind: type) -> Any:
    with torch.device("cpu"):
        return kind()


def sdxl(widths: tuple[int, int, int], depths: tuple[int, int, int], small: t.CLIPTextConfig, large: t.CLIPTextConfig,
         vae: tuple[int, ...]) -> d.DiffusionPipeline:  # fmt: skip
    unet = d.UNet2DConditionModel(
        sample_size=128, block_out_channels=widths, layers_per_block=2,
        cross_attention_dim=small.hidden_size + large.hidden_size,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=tuple(width // 64 for width in widths), transformer_layers_per_block=depths,
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=large.projection_dim + 6 * 256,
    )  # fmt: skip
    return d.StableDiffusionXLPipeline(
        vae=autoencoder(*vae, channels=4, scaling_factor=0.13025), unet=unet,
        text_encoder=t.CLIPTextModel(small), text_encoder_2=t.CLIPTextModelWithProjection(large),
        tokenizer=clip_tokenizer(), tokenizer_2=clip_tokenizer(), scheduler=on_the_cpu(d.EulerDiscreteScheduler),
    )  # fmt: skip


def flux(layers: tuple[int, int], heads: int, small: t.CLIPTextConfig, encoder: t.T5Config,
         vae: tuple[int, ...]) -> d.DiffusionPipeline:  # fmt: skip
    transformer = d.FluxTransformer2DModel(
        patch_size=1, in_channels=64, num_layers=layers[0], num_single_layers=layers[1], attention_head_dim=128,
        num_attention_heads=heads, joint_attention_dim=encoder.d_model, pooled_projection_dim=small.hidden_size,
        guidance_embeds=False, axes_dims_rope=(16, 56, 56),
    )  # fmt: skip
    return d.FluxPipeline(
        transformer=transformer, scheduler=on_the_cpu(d.FlowMatchEulerDiscreteScheduler),
        vae=autoencoder(*vae, channels=16, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1159,
                        scaling_factor=0.3611),
        text_encoder=t.CLIPTextModel(small), tokenizer=clip_tokenizer(), text_encoder_2=t.T5EncoderModel(encoder),
        tokenizer_2=t5_tokenizer(),
    )  # fmt: skip


def t5(width: int, layers: int, heads: int) -> t.T5Config:
    return t.T5Config(vocab_size=32128, d_model=width, d_kv=64, d_ff=width * 5 // 2, num_layers=layers, num_heads=heads,
                      feed_forward_proj="gated-gelu")  # fmt: skip


FULL_VAE, SMALL_VAE = (128, 256, 512, 512), (32, 64, 64, 64)
# size -> builder, type of the weights, the row's settings
SIZES: dict[str, tuple[Callable[[], d.DiffusionPipeline], str, dict[str, Any]]] = {
    "sdxl": (lambda: sdxl((320, 640, 1280), (1, 2, 10), clip(768, 12, 12, 768), clip(1280, 32, 20, 1280), FULL_VAE),
             "float16", {"num_inference_steps": 30, "guidance_scale": 5.0, "height": 1024, "width": 1024}),
    "flux": (lambda: flux((19, 38), 24, clip(768, 12, 12, 768), t5(4096, 24, 64), FULL_VAE),
             "bfloat16", {"num_inference_steps": 4, "guidance_scale": 0.0, "height": 1024, "width": 1024,
                          "max_sequence_length": 256}),
    "sdxl-small": (lambda: sdxl((64, 128, 256), (1, 2, 4), clip(256, 4, 4, 256), clip(256, 6, 4, 256), SMALL_VAE),
                   "float32", {"num_inference_steps": 6, "guidance_scale": 5.0, "height": 256, "width": 256}),
    "flux-small": (lambda: flux((2, 4), 6, clip(256, 4, 4, 256), t5(512, 6, 8), SMALL_VAE),
                   "float32", {"num_inference_steps": 4, "guidance_scale": 0.0, "height": 256, "width": 256,
                               "max_sequence_length": 128}),
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
