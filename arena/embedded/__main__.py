"""`python -m arena.embedded`: make the embedded models anew, from nothing to arena/models/.

1. Draw 40,000 captioned pictures (a minute), train the small autoencoder on them and encode them once (6 minutes),
   teach the text encoder what captions say (3 minutes).
2. Train a UNet and a flow transformer side by side, on one core each (60 to 90 minutes).
3. Let both draw 1,000 captions and train the large decoder on the result (15 minutes); write the folders.

The minutes are those of two cores with AVX512-BF16, which nobody else uses. Numbers of steps and seeds are fixed.
What a stopped run has finished is not done again; delete the work folder to begin from nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = 40_000  # a sixth of a run's samples: captions and noise are new each time, and nothing was overfitted
AUTOENCODER_STEPS, DECODER_STEPS, TEXT_STEPS = 1100, 1350, 1550  # until the losses were nearly level
STEPS = {"flow": 4300, "unet": 4850}  # of 64 samples; shapes are right after about 1,500, then edges get crisper
DREAMS, LARGE_STEPS = 1000, 4300
# Which moment of which run becomes which model: an earlier one is an honest weaker contender.
MODELS: dict[str, tuple[str, str]] = {
    "tiny-unet": ("unet", "final"),
    "tiny-unet-early": ("unet", "500"),
    "tiny-flow": ("flow", "final"),
    "tiny-flow-early": ("flow", "600"),
}


def prepare(work: Path) -> None:
    """What both families share: pictures, autoencoder, latents, text encoder."""
    import numpy as np
    import torch

    from arena.embedded import autoencoder, pictures, text

    torch.set_num_threads(1)  # one-thread processes side by side get the most out of few cores
    if not (work / "pictures.npy").exists():
        pictures.make_pictures(work, PICTURES)
    drawn = np.load(work / "pictures.npy", mmap_mode="r")
    if not (work / "latents.npy").exists():
        autoencoder.train(drawn, work / "vae", AUTOENCODER_STEPS, "joint")
        autoencoder.train(drawn, work / "vae", DECODER_STEPS, "decoder")
        autoencoder.encode_all(work / "vae", drawn, work / "latents.npy")
    if not (work / "text").exists():
        text.pretrain(work / "text", TEXT_STEPS)


def learn(work: Path, family: str) -> None:
    import torch

    from arena.embedded import assemble, enlarge, pictures, train

    torch.set_num_threads(1)
    steps = tuple(int(step) for of, step in MODELS.values() if of == family and step != "final")
    if not (work / f"{family}-final").exists():
        train.train(work, family, STEPS[family], keep_at=steps)
    if not (work / f"{family}-dreams.npy").exists():
        assemble.assemble(family, work / f"{family}-final", work / "vae", work / f"{family}-small")
        scenes = pictures.load_scenes(work)[:DREAMS]
        enlarge.dream(work / f"{family}-small", scenes, work / f"{family}-dreams.npy")


def enlarge_all(work: Path) -> None:
    import numpy as np

    from arena.embedded import enlarge, pictures

    if not (work / "vae-large").exists():
        latents = np.load(work / "latents.npy", mmap_mode="r")[:DREAMS]
        dreamt = [np.load(work / f"{family}-dreams.npy") for family in STEPS]
        scenes = pictures.load_scenes(work)[:DREAMS]
        enlarge.train(work / "vae", scenes, latents, dreamt, work / "vae-large", LARGE_STEPS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m arena.embedded", description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, default=ROOT / "embedded-work", help="for what is made on the way")
    parser.add_argument("--out", type=Path, default=ROOT / "arena" / "models")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    _run_all([context.Process(target=prepare, args=(options.work,))])
    _run_all([context.Process(target=learn, args=(options.work, family)) for family in STEPS])
    _run_all([context.Process(target=enlarge_all, args=(options.work,))])

    from arena.embedded.assemble import assemble

    for name, (family, step) in MODELS.items():
        size = assemble(family, options.work / f"{family}-{step}", options.work / "vae-large", options.out / name)
        print(f"{options.out / name}: {size:.1f} MB")


def _run_all(processes: list) -> None:
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("A part of the training failed; its message is above.")


if __name__ == "__main__":
    main()
