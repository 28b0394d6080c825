"""The command `fill`: make what the bank lacks, here and now, and say how long it will take.

Images come in turns: some prompts with one model, then the same with the next, so that large models are not swapped for
every image and a fill that is cut short leaves whole prompts behind. Turns grow: the first prompts are soon complete, and
later ones cost fewer swaps. What a backend takes well at once is asked for at once, and is in bank and ledger before more
is begun. What is there is not made again: stopped at any time, a fill loses what was under way and goes on where it was.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from arena.backends import reason
from arena.errors import ConfigError, GenerationError, ImageRejected
from arena.making import make
from arena.records import Image

if TYPE_CHECKING:
    from arena.service import Arena
    from arena.stock import Wanted

TURN = 32  # prompts that one model draws before the next model has them, at first
LONGEST_TURN = 512  # and in the end: each turn is of twice as many prompts as the one before
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


def in_turns(wanted: Sequence[Wanted], turn: int = TURN, longest: int = LONGEST_TURN) -> list[Wanted]:
    """`turn` prompts with one model, the same with the next, and so on; then twice as many prompts, with the models in
    reverse, so that those which are in memory begin. Prompts keep their order."""
    turns, ends = dict[str, int](), turn
    for at, prompt_id in enumerate(dict.fromkeys(w.prompt.prompt_id for w in wanted)):
        if at == ends:
            turn = min(2 * turn, longest)
            ends += turn
        turns[prompt_id] = ends
    forth = {ends: at % 2 == 0 for at, ends in enumerate(dict.fromkeys(turns.values()))}
    models = {model: at for at, model in enumerate(dict.fromkeys(w.model for w in wanted))}

    def place(one: Wanted) -> tuple[int, int]:
        ends = turns[one.prompt.prompt_id]
        return ends, models[one.model] if forth[ends] else -models[one.model]

    return sorted(wanted, key=place)


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
    filling = _Filling(arena, forecast, clock)
    bar = Bar(forecast, out, clock)
    stopped = ""
    try:
        for model, turn in itertools.groupby(wanted, key=lambda one: one.model):
            left, row = deque(turn), arena.stock.contenders[model]
            while left and not filling.given_up(model):
                filling.make([left.popleft() for _ in range(min(len(left), arena.studio.takes(row)))])
                bar.show()
    except KeyboardInterrupt:
        stopped = "stopped; what was made is kept, and the same command goes on from there. "
    finally:
        bar.close()
    each = ", ".join(f"{model} {s:.2f} s" for model in forecast.left if (s := forecast.seconds(model)) is not None)
    print(
        f"{stopped}{forecast.made} images made, {forecast.bytes / 1e6:.1f} MB; an image takes {each or '?'}", file=out
    )
    for (model, why), times in filling.failed.most_common():
        print(f"{times} of {model} are still missing: {why}", file=out)
    return 1 if filling.failed or stopped else 0


class _Filling:
    """What has come of a fill so far: `forecast` hears of it, and `failed` counts (model, reason)."""

    def __init__(self, arena: Arena, forecast: Forecast, clock: Callable[[], float]):
        self._arena, self._forecast, self._clock = arena, forecast, clock
        self.failed, self._in_a_row = Counter[tuple[str, str]](), Counter[str]()
        self._loaded: set[str] = set()  # the time of a model's first call is that of its loading, too

    def given_up(self, model: str) -> bool:
        return self._in_a_row[model] >= GIVE_UP

    def make(self, some: Sequence[Wanted]) -> None:
        """Images of one model, as far as it is not given up meanwhile."""
        model, begun, made = some[0].model, self._clock(), list[Image]()
        try:
            for outcome in self._outcomes(some):
                if isinstance(outcome, Image):
                    self._in_a_row[model] = 0
                    made.append(outcome)
                    continue
                self._in_a_row[model] += 1
                self.failed[model, reason(outcome)] += 1
                self._forecast.drop(model)
                if self.given_up(model):
                    self.failed[model, reason(outcome)] += self._forecast.left[model] - len(made)
                    self._forecast.drop(model, self._forecast.left[model] - len(made))
                    break
        finally:
            took = (self._clock() - begun) / max(1, len(made))
            for image in made:
                self._forecast.add(model, took if model in self._loaded else image.seconds,
                                   self._arena.bank.size(image.image_id))  # fmt: skip
            if made:
                self._loaded.add(model)

    def _outcomes(self, some: Sequence[Wanted]) -> Iterator[Image | GenerationError]:
        """One for each; a picture that is rejected is asked for again with the next seeds."""
        stock, studio = self._arena.stock, self._arena.studio
        for one, outcome in make(stock, studio, some):
            for _ in range(GIVE_UP - 1):
                if isinstance(outcome, ImageRejected):
                    [(_, outcome)] = make(stock, studio, [stock.key(one.prompt, one.model)])
            yield outcome


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
