"""How the embedded models are made, in small, and the folders of arena/models/ as they are shipped."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from arena.config import load_config
from arena.embedded import world

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "arena" / "models"
SHIPPED = ["tiny-unet", "tiny-unet-early", "tiny-flow", "tiny-flow-early"]


def test_the_tokenizer_and_the_training_agree():
    from arena.embedded import text

    tokenizer = text.build_tokenizer()
    captions = [*world.sample_captions(100), "A majestic RED dragon, please!", ""]
    rows = tokenizer(captions, padding="max_length", truncation=True).input_ids
    assert rows == text.encode(captions).tolist()
    plain = "a red star on a blue background"
    assert tokenizer.decode(tokenizer(plain).input_ids, skip_special_tokens=True) == plain
    assert text.UNKNOWN in text.encode(["a red dragon"])[0]
    assert max(len(tokenizer(c).input_ids) for c in captions) <= text.LENGTH


@pytest.mark.parametrize("family", ["unet", "flow"])
def test_a_family_learns_goes_on_and_becomes_a_folder(family, tmp_path):
    from diffusers import DiffusionPipeline

    from arena.embedded import assemble, autoencoder, text, train

    def learner(seed: int) -> train.Learner:
        torch.manual_seed(seed)
        return train.Learner(family, text.build_encoder())

    first = learner(0)
    clean, weight = torch.randn(4, autoencoder.CHANNELS, 16, 16), torch.ones(4, 1, 16, 16)
    ids = text.encode(["a red star"] * 4, random.Random(0))
    before = [m.clone() for m in first.masters]
    with train.plain_attention():
        for _ in range(2):
            loss = first.model.loss(clean, ids, weight)
            assert torch.isfinite(loss)
            first.step(loss, 1.0)
    assert any(not torch.equal(a, b) for a, b in zip(before, first.masters, strict=True))
    torch.save(first.state(), tmp_path / "state.pt")
    second = learner(1)
    second.restore(torch.load(tmp_path / "state.pt"))
    assert second.steps == 2
    assert all(torch.equal(a, b) for a, b in zip(first.averages, second.averages, strict=True))

    second.export(tmp_path / "trained")
    autoencoder.build().save_pretrained(tmp_path / "vae")
    assemble.assemble(family, tmp_path / "trained", tmp_path / "vae", tmp_path / "model")
    pipeline = DiffusionPipeline.from_pretrained(tmp_path / "model", dtype=torch.float32)
    network = pipeline.unet if family == "unet" else pipeline.transformer
    weights = dict(network.named_parameters())
    names = [n.removeprefix("net.") for n, _ in second.model.named_parameters() if n.startswith("net.")]
    averages = [a for (n, _), a in zip(second.model.named_parameters(), second.averages, strict=True) if "net." in n]
    for name, average in zip(names, averages, strict=True):
        if name.startswith("add_embedding.linear_1"):
            continue  # the UNet forgets sizes there
        assert torch.allclose(weights[name], average.view_as(weights[name]), atol=2e-3)


def test_the_autoencoder_starts_with_the_mean_colours_and_folding_changes_nothing():
    from arena.embedded import autoencoder

    torch.manual_seed(0)
    vae = autoencoder.build()
    plain = torch.tensor([0.5, -0.5, 0.0])[None, :, None, None].expand(1, 3, 32, 32)
    pictures = torch.rand(8, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        made = vae.decode(vae.encode(plain).latents).sample[..., 12:20, 12:20].mean((2, 3))
        assert torch.allclose(made, torch.tensor([[0.5, -0.5, 0.0]]), atol=0.25)
        before = vae.decode(vae.encode(pictures).latents).sample[..., 12:20, 12:20]
        autoencoder._fold_scale(vae, pictures)
        latents = vae.encode(pictures).latents
        assert latents.mean((0, 2, 3)).abs().max() < 0.05 and (latents.std((0, 2, 3)) - 1).abs().max() < 0.05
        # Zero padding stands for another value after folding: only the rim may change.
        assert torch.allclose(before, vae.decode(latents).sample[..., 12:20, 12:20], atol=0.05)


def test_the_large_autoencoder_keeps_the_latents():
    from arena.embedded import autoencoder, enlarge

    large = enlarge.build(autoencoder.build())
    with torch.no_grad():
        assert large.decode(torch.zeros(1, autoencoder.CHANNELS, 16, 16)).sample.shape == (1, 3, 256, 256)
        assert large.encode(torch.zeros(1, 3, 256, 256)).latents.shape == (1, autoencoder.CHANNELS, 16, 16)


def test_a_unet_can_be_made_to_forget_sizes():
    from arena.embedded import assemble, nets, text

    torch.manual_seed(0)
    net = nets.UNetFamily(text.build_encoder()).net

    def draw(side: int) -> torch.Tensor:
        sizes = torch.tensor([[side, side, 0, 0, side, side]]).float()
        extra = {"text_embeds": torch.ones(1, text.WIDTH), "time_ids": sizes}
        with torch.no_grad():
            return net(torch.ones(1, 8, 16, 16), 500, torch.ones(1, 4, text.WIDTH), added_cond_kwargs=extra).sample

    before = draw(128)
    assert not torch.allclose(before, draw(256), atol=1e-4)
    assemble._forget_sizes(net)
    assert torch.allclose(before, draw(256), atol=1e-4)


def test_the_models_stay_small():
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) <= 40e6


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_folder_is_plain_diffusers_and_draws(name, capfd):
    from diffusers import DiffusionPipeline

    folder = MODELS / name
    index = json.loads((folder / "model_index.json").read_text())
    assert not list(folder.rglob("*.py")) and not list(folder.rglob("*.bin")) and "auto_map" not in str(index)
    assert not any("_name_or_path" in path.read_text() for path in folder.glob("*/*.json")), "no paths of a machine"
    with warnings.catch_warnings():
        warnings.simplefilter("error", category=UserWarning)
        pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    said = capfd.readouterr().err
    assert "not expected" not in said and "safety" not in said
    row = next(m for m in load_config(ROOT / "arena.yaml").models if m.source == f"arena/models/{name}")
    assert row.pipeline.pipeline_class == type(pipeline).__name__
    assert all(
        part.dtype == torch.float32 for part in pipeline.components.values() if isinstance(part, torch.nn.Module)
    )
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("a red star on a blue background", generator=torch.manual_seed(0), **row.settings).images[0]
    assert picture.size == (row.settings["width"], row.settings["height"])
    rim = np.asarray(picture)[:4].reshape(-1, 3).mean(0)
    assert rim[2] > 150 and rim[0] < 120, "the background is blue"
