"""How well the demonstration models draw what is asked, and how fast: one table, judged by program.

Each model draws the same held-out captions (combinations of shape, colour and background that it never met in
training), half of them with one thing and half with two, through the backend and with the arguments of arena.yaml.
`arena/embedded/check.py` says which things have the right colour, shape and place, and which pictures the right
background, or everything right. The first rows say what the checker thinks of the true pictures, and of true
pictures given to the wrong captions.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from _machine import describe, table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from arena.backends import Request, make_backend  # noqa: E402
from arena.config import load_config  # noqa: E402
from arena.embedded.check import judge, score, test_scenes  # noqa: E402
from arena.embedded.draw import draw  # noqa: E402
from arena.embedded.world import caption  # noqa: E402

PARTS = ("colour", "shape", "place", "background", "everything")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=240, help="held-out captions, half with one thing")
    parser.add_argument("--models", nargs="*", help="ids; all demonstration models of arena.yaml by default")
    parser.add_argument("--config", type=Path, default=ROOT / "arena.yaml", help="where the rows are read from")
    parser.add_argument("--sheet", type=Path, help="a folder for one contact sheet a model")
    options = parser.parse_args()

    import torch

    scenes = test_scenes(options.captions)
    half = len(scenes) // 2
    styles = ", ".join(
        f"{sum(s.style == name for s in scenes)} {name}" for name in ("flat", "outline", "neon", "pixel")
    )
    print(describe("torch", "diffusers"))
    print(f"{torch.get_num_threads()} threads; {half} held-out captions with one thing, {len(scenes) - half} with two;")
    print(f"styles: {styles}. Per cent right, things or pictures.")

    rows: list[list[object]] = []

    def add(name: str, pictures: list, seconds: list[float], size: float | None) -> None:
        verdicts = [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
        speed = f"{statistics.median(seconds):.2f}" if seconds else ""
        slowest = f"{max(seconds):.2f}" if seconds else ""
        for part, of in (("all", verdicts), ("one", verdicts[:half]), ("two", verdicts[half:])):
            first = part == "all"
            figures = [100 * score(of)[name] for name in PARTS]
            megabytes = f"{size:.1f}" if first and size else ""
            rows.append([name if first else "", part, *figures, *((speed, slowest) if first else ("", "")), megabytes])
        if options.sheet:
            options.sheet.mkdir(parents=True, exist_ok=True)
            contact_sheet(pictures[:24] + pictures[half : half + 24]).save(options.sheet / f"{name}.png")

    true = [draw(scene) for scene in scenes]
    add("true pictures", true, [], None)
    add("wrong captions", [*true[1:half], true[0], *true[half + 1 :], true[half]], [], None)
    backend = make_backend("diffusers", config_dir=ROOT)
    for model in load_config(options.config).models:
        if not model.demo or model.backend != "diffusers" or (options.models and model.id not in options.models):
            continue
        requests = [Request(model, caption(scene), seed) for seed, scene in enumerate(scenes)]
        made = backend.generate(requests, progress=lambda _: None, cancelled=lambda: False)
        size = sum(path.stat().st_size for path in (ROOT / model.source).rglob("*") if path.is_file()) / 1e6
        add(model.id, [m.picture for m in made], [m.seconds for m in made], size)
    backend.close()
    print(table(["model", "things", *PARTS, "median s", "slowest s", "MB"], rows))


def contact_sheet(pictures: list, columns: int = 12):
    from PIL import Image

    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height))
    for k, picture in enumerate(pictures):
        sheet.paste(picture, (k % columns * width, k // columns * height))
    return sheet


if __name__ == "__main__":
    main()
