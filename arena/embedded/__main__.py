"""`python -m arena.embedded`: make the embedded models anew, from nothing to arena/models/.

1. draw 40,000 captioned pictures (a minute); 2. train the autoencoder, encode the pictures once (6 minutes);
3. teach the text encoder what captions say (3 minutes); 4. train a UNet and a flow transformer side by side, one
core each (90 minutes); 5. write the folders. Two cores with AVX512-BF16 need about 1 hour and 45 minutes; budgets
are in seconds, so a slower machine ends as soon but less well: raise --minutes. A stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = 40_000
JOINT_SECONDS, DECODER_SECONDS = 170, 150  # autoencoder: both halves, then the decoder alone
TEXT_SECONDS = 150
# Which moment of which family's run becomes which model: an earlier one is an honest weaker contender.
MODELS: dict[str, tuple[str, str]] = {
    "tiny-unet": ("unet", "final"),
    "tiny-unet-early": ("unet", "500"),
    "tiny-flow": ("flow", "final"),
    "tiny-flow-early": ("flow", "600"),
}


def prepare(work: Path) -> None:
    """Everything that both families share: pictures, autoencoder, latents, text encoder."""
    import numpy as np
    import torch

    from arena.embedded import autoencoder, pictures, text

    torch.set_num_threads(1)  # one-thread processes side by side get the most out of few cores
    if not (work / "pictures.npy").exists():
        pictures.make_pictures(work, PICTURES)
    drawn = np.load(work / "pictures.npy", mmap_mode="r")
    if not (work / "latents.npy").exists():
        autoencoder.train(drawn, work / "vae", JOINT_SECONDS, "joint")
        autoencoder.train(drawn, work / "vae", DECODER_SECONDS, "decoder")
        autoencoder.encode_all(work / "vae", drawn, work / "latents.npy")
    if not (work / "text").exists():
        text.pretrain(work / "text", TEXT_SECONDS)


def learn(work: Path, family: str, seconds: float) -> None:
    import torch

    from arena.embedded import train

    torch.set_num_threads(1)
    steps = tuple(int(step) for of, step in MODELS.values() if of == family and step != "final")
    train.train(work, family, seconds, keep_at=steps)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m arena.embedded", description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, default=ROOT / "embedded-work", help="for what is made on the way")
    parser.add_argument("--out", type=Path, default=ROOT / "arena" / "models")
    parser.add_argument("--minutes", type=float, default=90, help="of training for each of the two families")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    _run_all([context.Process(target=prepare, args=(options.work,))])
    families = sorted({family for family, _ in MODELS.values()})
    _run_all([context.Process(target=learn, args=(options.work, f, 60 * options.minutes)) for f in families])

    from arena.embedded.assemble import assemble

    for name, (family, step) in MODELS.items():
        size = assemble(family, options.work / f"{family}-{step}", options.work / "vae", options.out / name)
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
