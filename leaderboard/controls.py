"""Owns controlled standings: a Bradley-Terry fit in which the images themselves take part, not only who made them.

The log odds that side a is better are theta_a - theta_b + beta . x + gamma, where x holds a's less b's brightness and
so on, each divided by its standard deviation over the votes used, and gamma is the advantage of side a: contextual
Bradley-Terry (Springall 1973), as in the style control of Chatbot Arena (Li, Angelopoulos & Chiang 2024). Draws count
half. What the votes cannot tell apart is left out and said: a covariate that never differs, one that follows from the
models or from the others, one that decides every vote alone (so that its coefficient has no finite maximum).
"""

import math
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from leaderboard import errors
from leaderboard.clusters import AUTO, capped, chosen, codes_of
from leaderboard.contextual import Design, covariance, fit
from leaderboard.covariates import COVARIATES, differences
from leaderboard.ranks import overlap_ranks
from leaderboard.ratings import CENTRE, SCALE, SCORES, Ratings, anchor_weights, core
from leaderboard.standings import VOTE_FLOOR
from leaderboard.tally import Pairs, count

Z95 = 1.959963984540054
POSITION = "position"
VOTES_EACH = 10  # for each model and covariate that is fitted (Peduzzi et al. 1996)
NEW_SHARE = 1e-4  # of a covariate's variance that models and other covariates must leave to it


@dataclass(frozen=True)
class Effect:
    """What a standard deviation more of a covariate (for `position`: standing on side a) is worth, in Elo points, with
    its 95% interval and the two-sided p-value of no effect."""

    covariate: str
    effect: float
    lower: float
    upper: float
    p: float
    votes: int


@dataclass(frozen=True)
class Row:
    """One model: its `rating` by Bradley-Terry, as on the board, and `controlled` for the images and the side, from the
    same `votes`; `change` is the difference. None where it has no finite rating."""

    model: str
    votes: int
    rating: float | None
    controlled: float | None
    controlled_lower: float | None
    controlled_upper: float | None
    change: float | None
    rank: int | None
    controlled_rank: int | None


@dataclass(frozen=True)
class Controlled:
    """`rows` best controlled first, none where no covariate of the images could be used; `effects` by size; `refused`
    {covariate: why it was left out}; `without` {reason: votes that could not be used}; `votes` that were; `ways` in
    which votes were taken together (see clusters)."""

    rows: tuple
    effects: tuple
    refused: dict
    without: dict
    votes: int
    ways: tuple


def controlled(votes, pictures=None, clusters=AUTO, voter_cap=None):
    """The Controlled standings of checked Votes; `pictures` are the images behind them, or None;
    the rest is as for board.build."""
    votes = capped(votes, voter_cap)
    found = differences(votes, pictures)
    known = {name: values for name, values in found.values.items() if np.isfinite(values).any()}
    without, refused = Counter(found.without if known else {}), {}
    usable = np.ones(len(votes), bool)
    for values in known.values():
        usable &= np.isfinite(values)
    if unknown := int((~usable).sum()) - without.total():
        without["without a number for every covariate"] += unknown
    part = votes.where(usable) if known else votes
    pairs = Pairs.of(count(part.model_a, part.model_b, part.winner, len(votes.models), weight=part.weight)[0])
    members, status = core(pairs)
    if not len(members):
        return Controlled((), (), refused, dict(without), 0, ())
    place = np.full(len(votes.models), -1)
    place[members] = np.arange(len(members))
    inside = (place[part.model_a] >= 0) & (place[part.model_b] >= 0)
    if apart := int((~inside).sum()):
        without["with a model without a finite rating"] += apart
    used = part.where(inside)
    columns = {name: values[usable][inside] for name, values in known.items()}
    weight = np.ones(len(used)) if used.weight is None else used.weight
    plain = Design(place[used.model_a], place[used.model_b], SCORES[used.winner], weight,
                   np.ones((len(used), 1)), len(members))  # fmt: skip
    names, design = _chosen(plain, columns, refused)
    names, design, parameters, information = _finite(names, design, refused)
    ways = chosen(used, clusters)
    shared = [codes_of(used, (way,)) for way in ways] + ([codes_of(used, ways)] if len(ways) == 2 else [])
    values = covariance(design, parameters, information, shared)
    effects = _effects(names, design, parameters, values)
    if set(names) <= {POSITION}:
        return Controlled((), effects, refused, dict(without), len(used), ways)
    before = replace(plain, x=plain.x[:, :0])
    strength, fisher = fit(before)
    more = covariance(before, strength, fisher, shared)
    took_part = count(part.model_a, part.model_b, part.winner, len(votes.models))[0].sum(axis=2)
    took_part = took_part.sum(axis=0) + took_part.sum(axis=1)
    rows = _rows(votes.models, members, status, pairs, took_part, (strength, more), (parameters, values))
    return Controlled(rows, effects, refused, dict(without), len(used), ways)


def _chosen(plain, columns, refused):
    """(names, Design) of what the votes can tell apart, the position first; `refused` is told why the others are not."""
    names, kept = [], np.empty((len(plain.score), 0))
    candidates = {POSITION: plain.x[:, 0]} | {name: columns[name] for name in COVARIATES if name in columns}
    for name, values in candidates.items():
        spread = 1.0 if name == POSITION else float(np.sqrt(np.average(values**2, weights=plain.weight)))
        if name != POSITION:
            mean = float(np.average(values, weights=plain.weight))
            spread = math.sqrt(max(0.0, spread**2 - mean**2))
        if not spread > 1e-9 * max(1.0, float(np.abs(values).max())):
            refused[name] = "it is the same in both images of every battle" if not values.any() else "it never varies"
            continue
        column = values / spread
        by_models = _left(replace(plain, x=np.empty((len(column), 0))), column)
        by_all = _left(replace(plain, x=kept), column)
        if len(column) < VOTES_EACH * (plain.models + len(names)):
            refused[name] = f"{VOTES_EACH} votes are needed for each model and covariate that is fitted"
        elif by_models < NEW_SHARE:
            refused[name] = "it follows from which models meet, so it can't be told from the models themselves"
        elif by_all < NEW_SHARE:
            refused[name] = f"it follows from the models and {', '.join(names)}"
        else:
            names.append(name)
            kept = np.column_stack([kept, column])
    return names, replace(plain, x=kept)


def _left(design, column):
    """The share of a column's weighted sum of squares that the design's columns do not explain."""
    least = np.linalg.lstsq(design.products(design.weight), design.summed(design.weight * column), rcond=1e-12)[0]
    rest = column - design.log_odds(least)
    return float(design.weight @ rest**2 / max(float(design.weight @ column**2), 1e-300))


def _finite(names, design, refused):
    """(names, Design, parameters, information) with a finite maximum: the covariate that runs away goes."""
    while True:
        parameters, information = fit(design)
        if parameters is not None:
            return names, design, parameters, information
        if not names:
            raise errors.NotConverged(f"controls: no convergence on {design.models} models")
        worst = max(range(len(names)), key=lambda at: _alone(design, at))
        refused[names[worst]] = "it decides the votes alone: its coefficient has no finite maximum"
        names = [name for at, name in enumerate(names) if at != worst]
        design = replace(design, x=np.delete(design.x, worst, axis=1))


def _alone(design, at):
    """How well one column alone tells who won: the share of decided weight on the side that it favours."""
    column, margin = design.x[:, at], design.weight * (design.score - 0.5)
    return abs(float(margin @ np.sign(column))) / max(float(np.abs(margin).sum()), 1e-300)


def _effects(names, design, parameters, values):
    found = []
    for at, name in enumerate(names, design.models):
        effect, deviation = float(SCALE * parameters[at]), float(SCALE * math.sqrt(max(0.0, values[at, at])))
        p = math.erfc(abs(effect) / deviation / math.sqrt(2)) if deviation > 0 else None
        half = Z95 * deviation
        found.append(Effect(name, effect, effect - half, effect + half, p, len(design.score)))
    return tuple(sorted(found, key=lambda effect: -abs(effect.effect)))


def _rows(models, members, status, pairs, battles, plain, controls):
    """The rows of all models with battles [K], from the two fits (parameters, covariance) of the members."""
    inner = np.zeros(len(models))
    inner[members] = pairs.only(members).battles.sum(axis=1)
    points = []
    for parameters, values in (plain, controls):
        strength = SCALE * parameters[: len(members)]
        rating = np.full(len(models), np.nan)
        rating[members] = strength
        anchor = anchor_weights(Ratings("controlled", models, rating, status), battles >= VOTE_FLOOR, inner)
        anchor = anchor / anchor.sum()
        less = np.eye(len(members)) - anchor
        spread = less @ values[: len(members), : len(members)] @ less.T
        half = Z95 * SCALE * np.sqrt(np.maximum(np.diag(spread), 0.0))
        centre = strength + CENTRE - strength @ anchor
        points.append((centre, centre - half, centre + half, overlap_ranks(centre - half, centre + half)))
    (before, _, _, rank), (after, lower, upper, new_rank) = points
    place = {int(model): at for at, model in enumerate(members)}
    rows = []
    for model in np.flatnonzero(battles).tolist():
        votes, at = int(battles[model]), place.get(model)
        if at is None:
            rows.append(Row(models[model], votes, *[None] * 7))
            continue
        numbers = (float(before[at]), float(after[at]), float(lower[at]), float(upper[at]),
                   float(after[at] - before[at]), int(rank[at]), int(new_rank[at]))  # fmt: skip
        rows.append(Row(models[model], votes, *numbers))
    return tuple(sorted(rows, key=lambda row: (row.controlled is None, -(row.controlled or 0.0), row.model)))
