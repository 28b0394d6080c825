"""Random-weight pipelines of the classes that arena.gpu.yaml uses: real classes, a few kilobytes of weights.

`build(name, folder)` saves one as a standard diffusers folder in float16, offline, in well under a second.
Tokenizers are spelt letter by letter, so no vocabulary is needed; sizes are the smallest that the classes take.
"""

from __future__ import annotations

import io
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as d
import torch
import transformers as t

BUILDERS: dict[str, Callable[[], Any]] = {}
LETTERS = [chr(c) for c in range(33, 127)]


def build(name: str, folder: Path) -> Path:
    """Save a tiny pipeline of the class `name` under `folder`."""
    bars = d.utils.logging.is_progress_bar_enabled()
    d.utils.logging.disable_progress_bar()
    t.utils.logging.disable_progress_bar()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            pipeline = BUILDERS[name]()
        pipeline.to(torch.float16, silence_dtype_warnings=True).save_pretrained(folder)
    finally:
        if bars:
            d.utils.logging.enable_progress_bar()
    return folder


def _builder(function):
    BUILDERS[f"{function.__name__}Pipeline"] = function
    return function


# Tokenizers ---------------------------------------------------------------------------------------------------


def _byte_letters() -> list[str]:
    """The 256 printable characters by which byte-level tokenizers write bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    table = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(rest)}
    return [table[b] for b in range(256)]


BYTES = _byte_letters()


def clip_tokenizer(length: int = 77):
    words = [*BYTES, *(b + "</w>" for b in BYTES), "<|startoftext|>", "<|endoftext|>"]
    return t.CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=[], model_max_length=length)


def t5_tokenizer(length: int = 512):
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    return t.T5TokenizerFast(vocab=special + [(c, -3.0) for c in LETTERS], extra_ids=0, model_max_length=length)


def gemma_tokenizer():
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{b:02X}>" for b in range(256)), "\u2581", *LETTERS]
    return t.GemmaTokenizerFast(vocab={w: i for i, w in enumerate(words)}, merges=[])


def qwen_tokenizer():
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = t.Qwen2TokenizerFast(
        vocab={w: i for i, w in enumerate([*BYTES, *special])}, merges=[], additional_special_tokens=special[1:]
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
        "{{ m['content'] if m['content'] is string else m['content'][0]['text'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return tokenizer


def llama_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    words = [*BYTES, "<|begin_of_text|>", "<|eot_id|>"]
    inner = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[]))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return t.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=words[-2], eos_token=words[-1])


def chatglm_tokenizer():
    import sentencepiece
    from diffusers.pipelines.kolors.tokenizer import ChatGLMTokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(string.printable.strip())] * 20), model_writer=model, vocab_size=400,
        model_type="bpe", byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    path = Path(tempfile.mkdtemp()) / "tokenizer.model"  # read again when the tokenizer is saved
    path.write_bytes(model.getvalue())
    return ChatGLMTokenizer(str(path))


# Text encoders ------------------------------------------------------------------------------------------------


def clip(pooled: bool = False, length: int = 77):
    config = t.CLIPTextConfig(
        vocab_size=514, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=length, projection_dim=32, bos_token_id=512, eos_token_id=513, pad_token_id=513,
    )  # fmt: skip
    return (t.CLIPTextModelWithProjection if pooled else t.CLIPTextModel)(config)


def t5(width: int = 32):
    return t.T5EncoderModel(t.T5Config(vocab_size=128, d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
                                       feed_forward_proj="gated-gelu"))  # fmt: skip


def gemma2(width: int):
    return t.Gemma2Model(t.Gemma2Config(
        vocab_size=400, hidden_size=width, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8,
    ))  # fmt: skip


def llama():
    return t.LlamaForCausalLM(t.LlamaConfig(
        vocab_size=258, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, bos_token_id=256, eos_token_id=257,
    ))  # fmt: skip


def qwen3(layers: int):
    return t.Qwen3Config(vocab_size=300, hidden_size=16, intermediate_size=16, num_hidden_layers=layers,
                         num_attention_heads=2, num_key_value_heads=2, head_dim=8, max_position_embeddings=1024,
                         tie_word_embeddings=True)  # fmt: skip


# Autoencoders, denoisers, schedulers --------------------------------------------------------------------------


def vae(channels: int = 4, *, blocks: int = 2, **more):
    """An autoencoder that shrinks a picture by 2 ** (blocks - 1)."""
    return d.AutoencoderKL(
        block_out_channels=(16,) * blocks, down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks, latent_channels=channels, layers_per_block=1, norm_num_groups=4,
        sample_size=32, **more,
    )  # fmt: skip


def flow_vae(channels: int, blocks: int = 2):
    return vae(channels, blocks=blocks, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06,
               scaling_factor=1.5)  # fmt: skip


def deep_vae():
    return d.AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"), decoder_block_types=("ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)), encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1),
        downsample_block_type="conv", upsample_block_type="interpolate", decoder_norm_types="rms_norm",
        decoder_act_fns="silu", scaling_factor=0.4,
    )  # fmt: skip


def unet(**more):
    return d.UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
        norm_num_groups=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **more,
    )  # fmt: skip


def pooled_unet(width: int, pooled: int):
    """A UNet conditioned on pooled text and sizes, as SDXL and Kolors have."""
    return unet(cross_attention_dim=width, attention_head_dim=(2, 4), use_linear_projection=True,
                addition_embed_type="text_time", addition_time_embed_dim=8, transformer_layers_per_block=(1, 1),
                projection_class_embeddings_input_dim=6 * 8 + pooled)  # fmt: skip


def flow(**more):
    return d.FlowMatchEulerDiscreteScheduler(**more)


def sana_transformer(**more):
    return d.SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=8,
        sample_size=32, **more,
    )  # fmt: skip


# Pipelines ----------------------------------------------------------------------------------------------------


@_builder
def StableDiffusion():
    return d.StableDiffusionPipeline(
        vae=vae(), text_encoder=clip(), tokenizer=clip_tokenizer(),
        unet=unet(cross_attention_dim=32, attention_head_dim=2),
        scheduler=d.DDIMScheduler(beta_schedule="scaled_linear", steps_offset=1, clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


@_builder
def StableDiffusionXL():
    return d.StableDiffusionXLPipeline(
        vae=vae(), text_encoder=clip(), text_encoder_2=clip(True), tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(), unet=pooled_unet(64, 32), scheduler=d.EulerDiscreteScheduler(),
    )  # fmt: skip


@_builder
def StableDiffusion3():
    transformer = d.SD3Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=8, out_channels=8, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, caption_projection_dim=16, joint_attention_dim=64, pooled_projection_dim=64,
        pos_embed_max_size=32,
    )  # fmt: skip
    return d.StableDiffusion3Pipeline(
        transformer=transformer, scheduler=flow(shift=3.0), vae=flow_vae(8), text_encoder=clip(True),
        tokenizer=clip_tokenizer(), text_encoder_2=clip(True), tokenizer_2=clip_tokenizer(), text_encoder_3=t5(64),
        tokenizer_3=t5_tokenizer(),
    )  # fmt: skip


@_builder
def Flux():
    transformer = d.FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=1,
        joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    return d.FluxPipeline(
        transformer=transformer, scheduler=flow(use_dynamic_shifting=True), vae=flow_vae(4), text_encoder=clip(),
        tokenizer=clip_tokenizer(), text_encoder_2=t5(), tokenizer_2=t5_tokenizer(),
    )  # fmt: skip


@_builder
def Flux2Klein():
    transformer = d.Flux2Transformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=1,
        joint_attention_dim=48, timestep_guidance_channels=16, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    )  # fmt: skip
    autoencoder = d.AutoencoderKLFlux2(
        sample_size=32, block_out_channels=(8,), down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",), layers_per_block=1, latent_channels=4, norm_num_groups=4,
        use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip
    # The class reads the encoder's layers 9, 18 and 27.
    return d.Flux2KleinPipeline(transformer=transformer, scheduler=flow(), vae=autoencoder,
                                text_encoder=t.Qwen3ForCausalLM(qwen3(28)), tokenizer=qwen_tokenizer())  # fmt: skip


@_builder
def PixArtSigma():
    transformer = d.PixArtTransformer2DModel(
        sample_size=16, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=2, caption_channels=32,
        in_channels=4, out_channels=8, cross_attention_dim=16, use_additional_conditions=False,
    )  # fmt: skip
    return d.PixArtSigmaPipeline(transformer=transformer, scheduler=d.DPMSolverMultistepScheduler(), vae=vae(),
                                 text_encoder=t5(), tokenizer=t5_tokenizer(300))  # fmt: skip


@_builder
def Sana():
    return d.SanaPipeline(transformer=sana_transformer(), scheduler=flow(shift=3.0), vae=deep_vae(),
                          text_encoder=gemma2(8), tokenizer=gemma_tokenizer())  # fmt: skip


@_builder
def SanaSprint():
    return d.SanaSprintPipeline(
        transformer=sana_transformer(guidance_embeds=True, qk_norm="rms_norm_across_heads"),
        scheduler=d.SCMScheduler(), vae=deep_vae(), text_encoder=gemma2(8), tokenizer=gemma_tokenizer(),
    )  # fmt: skip


@_builder
def Kolors():
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel

    tokenizer = chatglm_tokenizer()
    encoder = ChatGLMModel(ChatGLMConfig(
        num_layers=2, padded_vocab_size=tokenizer.vocab_size + 16, hidden_size=32, ffn_hidden_size=32, kv_channels=8,
        num_attention_heads=4, seq_length=256, multi_query_attention=True, multi_query_group_num=2, add_qkv_bias=True,
        rmsnorm=True, apply_residual_connection_post_layernorm=False, post_layer_norm=True, original_rope=True,
        bias_dropout_fusion=True, attention_softmax_in_fp32=True, apply_query_key_layer_scaling=True,
        fp32_residual_connection=False, add_bias_linear=False,
    ))  # fmt: skip
    for weight in encoder.parameters():  # the class leaves its weights as the memory happens to be
        torch.nn.init.normal_(weight, std=0.05)
    return d.KolorsPipeline(vae=vae(), text_encoder=encoder, tokenizer=tokenizer, unet=pooled_unet(32, 32),
                            scheduler=d.EulerDiscreteScheduler())  # fmt: skip


@_builder
def QwenImage():
    transformer = d.QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=16, guidance_embeds=False, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    autoencoder = d.AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 2, 4], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip
    rope = {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default", "rope_theta": 1e6}
    encoder = t.Qwen2_5_VLForConditionalGeneration(t.Qwen2_5_VLConfig(
        text_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                     "num_key_value_heads": 2, "vocab_size": 300, "rope_parameters": rope},
        vision_config={"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16},
        vision_token_id=100, image_token_id=101, vision_start_token_id=102, vision_end_token_id=103,
    ))  # fmt: skip
    return d.QwenImagePipeline(transformer=transformer, scheduler=flow(use_dynamic_shifting=True), vae=autoencoder,
                               text_encoder=encoder, tokenizer=qwen_tokenizer())  # fmt: skip


@_builder
def HiDreamImage():
    transformer = d.HiDreamImageTransformer2DModel(
        patch_size=2, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8,
        num_attention_heads=2, caption_channels=[32, 16], text_emb_dim=64, num_routed_experts=2,
        num_activated_experts=1, axes_dims_rope=(4, 2, 2), max_resolution=(32, 32), llama_layers=[0, 1],
        force_inference_output=True,
    )  # fmt: skip
    # The class scales every size to 128 latents a side: without shrinking in the autoencoder, 128 pixels.
    return d.HiDreamImagePipeline(
        transformer=transformer, scheduler=d.FlowMatchLCMScheduler(shift=3.0), vae=flow_vae(4, blocks=1),
        text_encoder=clip(True, 248), tokenizer=clip_tokenizer(248), text_encoder_2=clip(True, 248),
        tokenizer_2=clip_tokenizer(248),
        text_encoder_3=t5(), tokenizer_3=t5_tokenizer(), text_encoder_4=llama(), tokenizer_4=llama_tokenizer(),
    )  # fmt: skip


@_builder
def Lumina2():
    transformer = d.Lumina2Transformer2DModel(
        sample_size=4, patch_size=2, in_channels=4, hidden_size=24, num_layers=1, num_refiner_layers=1,
        num_attention_heads=3, num_kv_heads=1, multiple_of=2, ffn_dim_multiplier=1.0, axes_dim_rope=(4, 2, 2),
        axes_lens=(512, 64, 64), cap_feat_dim=16,
    )  # fmt: skip
    # The class takes an autoencoder that shrinks by 8 for granted.
    return d.Lumina2Pipeline(transformer=transformer, scheduler=flow(shift=6.0), vae=flow_vae(4, blocks=4),
                             text_encoder=gemma2(16), tokenizer=gemma_tokenizer())  # fmt: skip


@_builder
def ZImage():
    transformer = d.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, norm_eps=1e-5, qk_norm=True, cap_feat_dim=16, rope_theta=256.0, t_scale=1000.0,
        axes_dims=[8, 4, 4], axes_lens=[1024, 32, 32],
    )  # fmt: skip
    return d.ZImagePipeline(transformer=transformer, scheduler=flow(shift=3.0), vae=flow_vae(4),
                            text_encoder=t.Qwen3Model(qwen3(2)), tokenizer=qwen_tokenizer())  # fmt: skip
