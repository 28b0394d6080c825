"""Owns speed and size: the median seconds an image on one kind of hardware, memory, parameters, and who is outdone.

Seconds compare only on one hardware, so that with most images is taken and named. Memory and parameters are what is
said of a model; nothing is guessed.
"""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Pace:
    """One model. `seconds` is the median over `images` on `Speed.hardware`, with its 95% interval, None where the
    images are too few for one; a pareto flag is None where the number or the rating behind it is not known."""

    model: str
    rating: float | None
    rating_lower: float | None
    rating_upper: float | None
    seconds: float | None
    seconds_lower: float | None
    seconds_upper: float | None
    images: int
    memory_gb: float | None
    parameters_b: float | None
    pareto_seconds: bool | None
    pareto_memory: bool | None


@dataclass(frozen=True)
class Speed:
    """`rows` in the order of the standings; `hardware` that the seconds are of, None where no image says; `others`
    {hardware: images} that were not taken, and `untimed` images without seconds or hardware."""

    rows: tuple
    hardware: str | None
    others: dict
    untimed: int


def speed(standings, pictures=None, models=None):
    """The Speed of the models of `standings` (rows with model, rating and its bounds), from Pictures and from what is
    known of each model: id -> {"memory_gb", "parameters_b"}, both optional."""
    models = models or {}
    taken, images, untimed = defaultdict(list), Counter(), 0
    contenders = {row.model for row in standings}
    for picture in pictures.all() if pictures is not None else ():
        if picture.model in contenders:
            if picture.hardware and picture.seconds is not None and picture.seconds > 0:
                taken[picture.hardware, picture.model].append(float(picture.seconds))
                images[picture.hardware] += 1
            else:
                untimed += 1
    hardware = min(images, key=lambda name: (-images[name], name), default=None)
    found = {row.model: median(taken.get((hardware, row.model), [])) for row in standings}
    known = {row.model: models.get(row.model, {}) for row in standings}
    memory = {model: _positive(known[model].get("memory_gb")) for model in known}
    fast = pareto([(row.rating, found[row.model][0]) for row in standings])
    small = pareto([(row.rating, memory[row.model]) for row in standings])
    rows = [
        Pace(
            row.model,
            row.rating,
            row.rating_lower,
            row.rating_upper,
            *found[row.model],
            len(taken.get((hardware, row.model), [])),
            memory[row.model],
            _positive(known[row.model].get("parameters_b")),
            fast[at],
            small[at],
        )
        for at, row in enumerate(standings)
    ]
    others = {name: count for name, count in images.most_common() if name != hardware}
    return Speed(tuple(rows), hardware, others, untimed)


def _positive(value):
    return float(value) if isinstance(value, int | float) and 0 < value < math.inf else None


def median(values):
    """(median, lower, upper) of these, the bounds those order statistics between which the median of the population
    lies with at least 95% confidence (Conover 1999, section 3.2); None for what there are too few for."""
    values, count = sorted(values), len(values)
    if not count:
        return None, None, None
    middle = (values[(count - 1) // 2] + values[count // 2]) / 2
    below = _below(count)
    return (middle, None, None) if below is None else (middle, values[below], values[count - 1 - below])


def _below(count):
    """The largest d with P(Binomial(count, 1/2) <= d) <= 2.5%, None where there is none (fewer than 6 values)."""
    if count > 1000:  # the normal approximation, rounded to the wide side
        return max(0, math.floor(count / 2 - Z95 * math.sqrt(count) / 2) - 1)
    tail, term, found = 0, 1, None
    for at in range(count):
        tail += term
        if 40 * tail > 2**count:
            return found
        found, term = at, term * (count - at) // (at + 1)
    return found


def pareto(points):
    """Of (rating, cost) pairs: True where no other is at least as good and as cheap, and better in one; False where
    one is; None where rating or cost is not known."""
    whole = [(rating, cost) for rating, cost in points if rating is not None and cost is not None]
    flags = []
    for rating, cost in points:
        if rating is None or cost is None:
            flags.append(None)
        else:
            flags.append(
                not any(
                    other >= rating and price <= cost and (other > rating or price < cost) for other, price in whole
                )
            )
    return flags
