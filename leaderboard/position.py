"""Owns the side effect: how far voters lean to one side whatever is shown there, and whether that distorts ratings.

Bradley-Terry with one more parameter (Davidson & Beaver 1977): the log odds that side a is better are
s_a - s_b + gamma, draws as half wins. Where every model stands on either side equally often, gamma cancels out of the
ratings; where one stands on the left more often, it is given what belongs to the side.
"""

from dataclasses import dataclass

import numpy as np

from leaderboard.clusters import AUTO, chosen
from leaderboard.columns import plural
from leaderboard.intervals import wilson
from leaderboard.ratings import CENTRE, SCALE, SCORES, Estimate, anchored, bradley_terry
from leaderboard.ratings.base import feasible, grounded, laplacian, maximise
from leaderboard.sandwich import Z95, covariance, half_width, inverse
from leaderboard.standings import VOTE_FLOOR
from leaderboard.tally import Pairs, tally, weighing
from leaderboard.votes import A_WINS, B_WINS, BOTH_GOOD

MATTERS = 0.25  # of an interval's half-width: an error of that size lowers the coverage of a 95% interval to 92%


@dataclass(frozen=True)
class Position:
    """The side effect of K `models`. `effect`, `lower`, `upper`: what side a is worth in Elo points, with its robust
    95% interval; None where it can't be told, `unknown` then saying why. `decisive` votes chose, and side a took the
    share `share_a` of them (None of none).

    `left` float64 [K] is the share of each model's battles in which it stood on side a; `without` and `fitted` are
    ratings [K] in Elo points, the established models' mean at 1000 in both, NaN where there is none. `alarm`: whether
    the interval excludes 0 and fitting the effect moves an established model by more than MATTERS of the half-width
    of its interval (independent votes); where the effect is not known, whether the Wilson interval of `share_a`
    excludes a half. `moved` is the model that the fit moves furthest, in half-widths, and `by` how far in points.
    """

    models: tuple
    effect: float | None
    lower: float | None
    upper: float | None
    decisive: int
    share_a: float | None
    left: np.ndarray
    without: np.ndarray
    fitted: np.ndarray
    alarm: bool
    moved: str | None
    by: float | None
    unknown: str = ""


def fit_side(counts, start):
    """Log strengths [R], mean zero, gamma, and their Estimate, from counts [R, R, 4] by side and strengths to start
    from. The caller guarantees a finite maximum (see `_unknown`). Raises NotConverged."""
    models, battles, score = len(counts), counts.sum(axis=2).astype(float), counts @ SCORES

    def likelihood(point):
        odds = point[:-1, None] - point[None, :-1] + point[-1]
        return float((score * odds - battles * np.logaddexp(0.0, odds)).sum())

    def derivatives(point):
        expected, information = _information(battles, point)
        residual = score - battles * expected
        gradient = residual.sum(axis=1) - residual.sum(axis=0)
        return np.append(gradient, residual.sum()), grounded(information, models)

    size = np.append(battles.sum(axis=0) + battles.sum(axis=1), battles.sum())
    point = maximise(likelihood, derivatives, np.append(start, 0.0), size, "Bradley-Terry with a side effect")
    expected, information = _information(battles, point)
    residual = SCORES - expected[:, :, None]
    found = Estimate(information, residual, -residual, residual[..., None])
    return point[:-1] - point[:-1].mean(), float(point[-1]), found


def _information(battles, point):
    odds = point[:-1, None] - point[None, :-1] + point[-1]
    expected = 1.0 / (1.0 + np.exp(-np.clip(odds, -700, 700)))
    weight = battles * expected * (1.0 - expected)
    mixed = weight.sum(axis=1) - weight.sum(axis=0)
    more = np.array([[weight.sum()]])
    return expected, np.block([[laplacian(weight + weight.T), mixed[:, None]], [mixed[None, :], more]])


def _unknown(counts):
    """Why gamma has no finite estimate among strongly connected models, or "".

    The likelihood rises (or stays level) for ever as gamma grows by 1 and strengths u move along, exactly if every
    model that won on the left gets u at most 1 below its loser's, every one that won on the right u at least 1 above,
    and draws hold with equality.
    """
    won, lost, drawn = counts[..., A_WINS] > 0, counts[..., B_WINS] > 0, (counts[..., BOTH_GOOD:] > 0).any(axis=2)

    def rises(step):
        on_left = np.where(won | drawn, step, np.inf)  # bounds u[right] - u[left]
        on_right = np.where(lost | drawn, -step, np.inf)  # bounds u[left] - u[right]
        return feasible(np.minimum(on_left, on_right.T))

    up, down = rises(1.0), rises(-1.0)
    if up and down:
        return "models kept to one side each, so that the side can't be told from the models"
    return f"the votes follow side {'a' if up else 'b'} too closely for a finite estimate" if up or down else ""


def position(votes, counts=None, clusters=AUTO):
    """The Position of checked votes; `counts` int64 [K, K, 4] by side are theirs, where they are known already.

    The interval takes votes together as `clusters` says (see leaderboard.clusters). Raises NotConverged.
    """
    counts = tally(votes).total() if counts is None else counts
    weighted = counts if votes.weight is None else tally(votes, weighted=True).total()
    pairs, battles = Pairs.of(weighted), counts.sum(axis=(1, 2)) + counts.sum(axis=(0, 2))
    left = np.divide(counts.sum(axis=(1, 2)), battles, out=np.full(len(battles), np.nan), where=battles > 0)
    first, second = int(counts[..., A_WINS].sum()), int(counts[..., B_WINS].sum())
    share = first / (first + second) if first + second else None
    known = {"models": votes.models, "decisive": first + second, "share_a": share, "left": left}
    nobody = np.full(len(battles), np.nan)
    plain = bradley_terry(votes, pairs)
    rated = plain.rated
    blank = {"effect": None, "lower": None, "upper": None, "moved": None, "by": None, "alarm": False}
    if not len(rated):
        why = "no two models scored against each other" if len(votes) else "no vote counts yet"
        return Position(**known | blank, without=nobody, fitted=nobody, unknown=why)
    inner = pairs.only(rated)
    established = (battles >= VOTE_FLOOR) & np.isfinite(plain.rating)
    without, anchor = anchored(plain, established, weighing(votes, Pairs.of(counts), pairs))
    if why := _unknown(inner.counts):
        low, high = wilson(first, first + second)
        blank["alarm"] = low > 0.5 or high < 0.5
        return Position(**known | blank, without=without, fitted=nobody, unknown=why)
    strength, gamma, estimate = fit_side(inner.counts, plain.rating[rated] / SCALE)
    half = half_width(votes, pairs, estimate, rated, inverse(estimate)[-1], chosen(votes, clusters))
    fitted = nobody.copy()
    fitted[rated] = CENTRE + SCALE * (strength - strength @ anchor / anchor.sum())
    variance = np.diag(covariance(votes, pairs, plain.estimate, rated, anchor).values)
    intervals = SCALE * Z95 * np.sqrt(np.maximum(variance, 1e-18))
    shift = np.where(established[rated] | ~established.any(), fitted[rated] - without[rated], 0.0)
    most = int(np.argmax(np.abs(shift) / intervals))
    return Position(
        **known,
        effect=SCALE * gamma,
        lower=SCALE * (gamma - half),
        upper=SCALE * (gamma + half),
        without=without,
        fitted=fitted,
        alarm=bool(abs(gamma) > half and abs(shift[most]) > MATTERS * intervals[most]),
        moved=votes.models[rated[most]],
        by=float(shift[most]),
    )


def note(position):
    """What a reader must know of the sides, as one sentence; empty where there is nothing to say."""
    if not position.decisive:
        return ""
    text = f"Side a won {position.share_a:.1%} of {plural(position.decisive, 'decisive vote', 'decisive votes')}"
    if position.effect is None:
        return (
            f"{'Position alarm: ' if position.alarm else ''}{text}; the side effect is not known: {position.unknown}."
        )
    interval = f"(95% interval {position.lower:+.0f} to {position.upper:+.0f})"
    if position.lower <= 0 <= position.upper:
        worth = f"the side is worth {position.effect:+.0f} points {interval}"
        return f"{text}; fitted with the ratings, {worth}: no sign of position bias."
    side = "a" if position.effect > 0 else "b"
    lean = f"{text}; voters lean to side {side}, worth {abs(position.effect):.0f} points {interval}"
    if position.alarm:
        return (
            f"Position alarm: {lean}, and models did not stand on either side equally often: fitting it moves "
            f"{position.moved} by {position.by:+.0f} points. The sheet position has the ratings with it."
        )
    return (
        f"Position bias: {lean}; fitting it moves no established model by more than a quarter of its interval's "
        "half-width."
    )
