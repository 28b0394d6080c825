"""The command `fill`: make what the bank lacks, here and now, and say how long it will take.

Images come in turns: some prompts with one model, then the same with the next, so that large models are not swapped for
every image and a fill that is cut short leaves whole prompts behind. Each image is in bank and ledger before the next is
begun, and what is there is not made again: stopped at any time, a fill loses the image that was under way and goes on
where it was.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from arena.backends import reason
from arena.errors import ConfigError, GenerationError, ImageRejected

if TYPE_CHECKING:
    from arena.service import Arena
    from arena.stock import Wanted

TURN = 32  # prompts that one model draws before the next model has them
GIVE_UP = 3  # failures in a row after which a model is left out, and rejected pictures of one prompt likewise
RECENT = 50  # images of a model that its forecast is made from
EVERY = 10.0  # seconds between two lines where there is no terminal


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("fill", help="make the images that the bank lacks")
    parser.add_argument("--prompts", type=int, metavar="N",
                        help="only the first N curated prompts, taken from the categories in turn (default: every prompt, "
                             "visitors' too)")  # fmt: skip
    parser.add_argument("--models", default="all", metavar="all|ID,ID", help="only these models (default: all)")
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="stop after so many images")
    return parser


def chosen(arena: Arena, arguments: argparse.Namespace) -> list[Wanted]:
    """What the command is to make, in order. Raises ConfigError for a model that is none, and for no number."""
    for name in ("prompts", "limit"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise ConfigError(f"--{name}: {getattr(arguments, name)} is not a number of {name}; 1 or more is expected")
    models = None
    if arguments.models != "all":
        models = [name.strip() for name in arguments.models.split(",") if name.strip()]
        known = list(arena.stock.contenders)
        for name in models or [arguments.models]:
            if name not in known:
                raise ConfigError(f'--models: unknown "{name}"; all, or some of {", ".join(known)}')
    return in_turns(arena.stock.lacking(arguments.prompts, models))[: arguments.limit]


def in_turns(wanted: Sequence[Wanted], turn: int = TURN) -> list[Wanted]:
    """`turn` prompts with one model, the same with the next, and so on; prompts and models keep their order."""
    prompts = {prompt_id: at for at, prompt_id in enumerate(dict.fromkeys(w.prompt.prompt_id for w in wanted))}
    models = {model: at for at, model in enumerate(dict.fromkeys(w.model for w in wanted))}
    return sorted(wanted, key=lambda w: (prompts[w.prompt.prompt_id] // turn, models[w.model]))


class Forecast:
    """How long the rest takes and how large it is, from each model's recent images; `before` are those of earlier days:
    (model, seconds, bytes)."""

    def __init__(self, wanted: Iterable[Wanted], before: Iterable[tuple[str, float, int]] = ()):
        self.left = Counter(w.model for w in wanted)
        self.total, self.made, self.bytes = self.left.total(), 0, 0
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._sizes: dict[str, list[int]] = defaultdict(list)
        for model, seconds, size in before:
            self._seconds[model].append(seconds)
            self._sizes[model].append(size)

    def add(self, model: str, seconds: float, size: int) -> None:
        self.left[model] -= 1
        self.made += 1
        self.bytes += size
        self._seconds[model] = [*self._seconds[model], seconds][-RECENT:]
        self._sizes[model] = [*self._sizes[model], size][-RECENT:]

    def drop(self, model: str, images: int = 1) -> None:
        """So many will not be made."""
        self.left[model] -= images
        self.total -= images

    def seconds(self, model: str) -> float | None:
        """One image of this model: the median of the recent ones."""
        return statistics.median(self._seconds[model]) if self._seconds.get(model) else None

    def seconds_left(self) -> float | None:
        """Models that were never timed are taken as slow as the others are on average; None while none was."""
        return self._sum({model: self.seconds(model) for model in self.left})

    def megabytes(self) -> float | None:
        """Of all images of this fill, those to come included."""
        sizes = {m: statistics.fmean(self._sizes[m]) if self._sizes.get(m) else None for m in self.left}
        left = self._sum(sizes)
        return None if left is None else (self.bytes + left) / 1e6

    def _sum(self, each: dict[str, float | None]) -> float | None:
        known = [value for value in each.values() if value is not None]
        if not known:
            return None
        usual = statistics.fmean(known)
        return sum(n * (usual if each[m] is None else each[m]) for m, n in self.left.items() if n > 0)

    def line(self) -> str:
        left, size = self.seconds_left(), self.megabytes()
        return f"{'?' if left is None else lasting(left)} left, {'?' if size is None else f'{size:.0f}'} MB in all"


def lasting(seconds: float) -> str:
    """Such as 40 s, 12 min or 5.2 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def fill(arena: Arena, wanted: Sequence[Wanted], *, out: TextIO = sys.stderr,
         clock: Callable[[], float] = time.monotonic) -> int:  # fmt: skip
    """Make these images; the exit code of the command: 0 when all of them are there, 1 otherwise."""
    forecast = Forecast(wanted, _before(arena, {w.model for w in wanted}))
    models = [f"{model} {n}" + (f" at {s:.2f} s" if (s := forecast.seconds(model)) is not None else "")
              for model, n in forecast.left.items()]  # fmt: skip
    if not wanted:
        print("nothing is missing", file=out)
        return 0
    print(f"{forecast.total} images to make: {', '.join(models)}; {forecast.line()}", file=out)
    failed, in_a_row = Counter[tuple[str, str]](), Counter[str]()
    loaded: set[str] = set()  # the time of a model's first image is that of its loading, too
    bar = Bar(forecast, out, clock)
    stopped = ""
    try:
        for at, one in enumerate(wanted):
            if in_a_row[one.model] >= GIVE_UP:
                continue
            begun = clock()
            try:
                image = _make(arena, one)
            except GenerationError as error:
                in_a_row[one.model] += 1
                failed[one.model, reason(error)] += 1
                forecast.drop(one.model)
                if in_a_row[one.model] == GIVE_UP:
                    rest = sum(later.model == one.model for later in wanted[at + 1 :])
                    forecast.drop(one.model, rest)
                    failed[one.model, reason(error)] += rest
            else:
                in_a_row[one.model] = 0
                took = clock() - begun if one.model in loaded else image.seconds
                loaded.add(one.model)
                forecast.add(one.model, took, arena.bank.size(image.image_id))
            bar.show()
    except KeyboardInterrupt:
        stopped = "stopped; what was made is kept, and the same command goes on from there. "
    finally:
        bar.close()
    each = ", ".join(f"{model} {s:.2f} s" for model in forecast.left if (s := forecast.seconds(model)) is not None)
    print(
        f"{stopped}{forecast.made} images made, {forecast.bytes / 1e6:.1f} MB; an image takes {each or '?'}", file=out
    )
    for (model, why), times in failed.most_common():
        print(f"{times} of {model} are still missing: {why}", file=out)
    return 1 if failed or stopped else 0


def _make(arena: Arena, wanted: Wanted):
    """A picture that is rejected is asked for again with the next seeds."""
    for _ in range(GIVE_UP - 1):
        try:
            return arena.stock.make(wanted, arena.studio)
        except ImageRejected:
            wanted = arena.stock.key(wanted.prompt, wanted.model)
    return arena.stock.make(wanted, arena.studio)


def _before(arena: Arena, models: set[str]) -> Iterable[tuple[str, float, int]]:
    """The last images of each model that are in the bank."""
    for model in models:
        rows = arena.ledger.all("SELECT image_id, seconds FROM images WHERE model = ? ORDER BY seq DESC LIMIT ?",
                                model, RECENT)  # fmt: skip
        for image_id, seconds in reversed(rows):
            if arena.bank.has(image_id):
                yield model, seconds, arena.bank.size(image_id)


class Bar:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self, forecast: Forecast, out: TextIO, clock: Callable[[], float]):
        self._forecast, self._out, self._clock = forecast, out, clock
        self._told = clock()
        self._bar = None
        if out.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=forecast.total, unit="image", file=out, dynamic_ncols=True,
                             bar_format="{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} images, {desc}")  # fmt: skip

    def show(self) -> None:
        if self._bar is not None:
            self._bar.total, self._bar.n = self._forecast.total, self._forecast.made
            self._bar.set_description_str(self._forecast.line())
        elif self._clock() - self._told >= EVERY:
            self._told = self._clock()
            print(f"{self._forecast.made}/{self._forecast.total} images, {self._forecast.line()}", file=self._out)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
