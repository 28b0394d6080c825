"""The two families as trainable wholes: text encoders, network and loss in one module each.

Both meet mostly noisy latents while they learn. A caption settles its picture, so what is hard is
the first step, from words to layout and shape; taking away the last noise is easy.
"""

from __future__ import annotations

import torch
from diffusers import DDIMScheduler, SD3Transformer2DModel, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from arena.embedded import text
from arena.embedded.autoencoder import CHANNELS

SIDE = 16  # of a latent
SECOND_WIDTH = 32  # SD3 wants a second text encoder: a very small one
NOISE_STEPS = 1000
TRAINED_SIZES = (128, 128, 0, 0, 128, 128)  # what SDXL's UNet is told: original size, crop, target size


def make_ddim() -> DDIMScheduler:
    """Ends in pure noise (zero SNR): else a model never learns to choose a background colour."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=0,
    )


def spread(count: int) -> torch.Tensor:
    """Random numbers in 0-1, evenly spread over the batch."""
    return (torch.arange(count) + torch.rand(count)) / count


def weighted(error: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (weight * error.square()).mean()


class UNetFamily(nn.Module):
    """Stable Diffusion XL in small: a latent UNet that predicts v, with the pooled text beside the time."""

    def __init__(self, encoder: CLIPTextModelWithProjection, channels: tuple[int, int] = (64, 128)) -> None:
        super().__init__()
        self.text = encoder
        self.net = UNet2DConditionModel(
            sample_size=SIDE,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            block_out_channels=channels,
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            mid_block_type="UNetMidBlock2DCrossAttn",
            cross_attention_dim=text.WIDTH,
            attention_head_dim=(2, 4),  # the number of heads, in spite of its name
            use_linear_projection=True,
            norm_num_groups=16,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + text.WIDTH,
        )
        self.register_buffer("kept", make_ddim().alphas_cumprod.float(), persistent=False)
        self.register_buffer("sizes", torch.tensor([TRAINED_SIZES]).float(), persistent=False)

    def loss(self, clean: torch.Tensor, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        count = len(clean)
        u = spread(count)
        u = torch.where(u < 0.35, u / 0.35 * 0.55, 0.55 + (u - 0.35) / 0.65 * 0.45)
        step = (u * NOISE_STEPS).long().clamp(0, NOISE_STEPS - 1)
        kept = self.kept[step][:, None, None, None]
        noise = torch.randn_like(clean)
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
        target = kept.sqrt() * noise - (1 - kept).sqrt() * clean
        words = self.text(ids, output_hidden_states=True)
        kind = self.net.dtype
        extra = {"text_embeds": words.text_embeds.to(kind), "time_ids": self.sizes.expand(count, 6)}
        made = self.net(noisy.to(kind), step, words.hidden_states[-2].to(kind), added_cond_kwargs=extra).sample
        return weighted(made.float() - target, weight)


class FlowFamily(nn.Module):
    """Stable Diffusion 3 in small: a flow-matching transformer over words and picture together."""

    def __init__(self, encoder: CLIPTextModelWithProjection, heads: int = 4, layers: int = 6) -> None:
        super().__init__()
        self.text = encoder
        self.second = CLIPTextModelWithProjection(
            CLIPTextConfig(
                vocab_size=encoder.config.vocab_size,
                hidden_size=SECOND_WIDTH,
                intermediate_size=2 * SECOND_WIDTH,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=text.LENGTH,
                projection_dim=SECOND_WIDTH,
                pad_token_id=text.PAD,
                bos_token_id=text.BEGIN,
                eos_token_id=text.END,
            )
        )
        both = text.WIDTH + SECOND_WIDTH
        self.net = SD3Transformer2DModel(
            sample_size=SIDE,
            patch_size=2,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            num_layers=layers,
            attention_head_dim=32,
            num_attention_heads=heads,
            joint_attention_dim=both,
            caption_projection_dim=32 * heads,
            pooled_projection_dim=both,
            pos_embed_max_size=SIDE,
            qk_norm="rms_norm",
        )
        # Every block starts as doing nothing, as in the DiT paper; the library starts them at random.
        for name, module in self.net.named_modules():
            if name.endswith(("norm1.linear", "norm1_context.linear", "norm_out.linear", "proj_out")):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)

    def loss(self, clean: torch.Tensor, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        count = len(clean)
        time = torch.where(torch.rand(count) < 0.55, 0.72 + 0.28 * spread(count), torch.sigmoid(torch.randn(count)))
        share = time[:, None, None, None]
        noise = torch.randn_like(clean)
        one = self.text(ids, output_hidden_states=True)
        two = self.second(ids, output_hidden_states=True)
        words = torch.cat([one.hidden_states[-2], two.hidden_states[-2]], -1)
        # The pipeline adds the tokens of a third encoder, T5; ours gives a single zero.
        words = torch.cat([words, words.new_zeros(count, 1, words.shape[-1])], 1)
        pooled = torch.cat([one.text_embeds, two.text_embeds], -1)
        noisy = (1 - share) * clean + share * noise
        kind = self.net.dtype
        made = self.net(noisy.to(kind), words.to(kind), pooled.to(kind), time * NOISE_STEPS).sample
        return weighted(made.float() - (noise - clean), weight)


FAMILIES = {"unet": UNetFamily, "flow": FlowFamily}
