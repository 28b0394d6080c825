"""Owns paired ratings: both images of one battle rated by one voter; a board for each criterion, and what explains votes.

On a criterion's board the image with the higher rating wins, and equal ratings are a draw, so that it is a board like
any other, with the same intervals. What explains the votes is a logistic regression of who won on the differences of
the ratings.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from leaderboard.clusters import AUTO, capped
from leaderboard.contextual import Design, covariance, fit, logistic
from leaderboard.feedback import UNKNOWN
from leaderboard.feedback_formats import CRITERIA
from leaderboard.ratings import SCALE, SCORES, core
from leaderboard.sandwich import student, two_sided
from leaderboard.sources import Raw
from leaderboard.standings import table
from leaderboard.tally import Pairs, tally
from leaderboard.votes import A_WINS, B_WINS, BOTH_GOOD, OUTCOMES, check

METHOD = "bradley-terry"
VOTES_EACH = 10  # for each number that a regression fits (Peduzzi et al. 1996)


@dataclass(frozen=True)
class Paired:
    """m battles whose images one voter rated both: `a` and `b` int64 [m] are the rows of the feedback on sides a and b
    (in the order of the models' names where the sides are not known), `winner` int64 [m] the vote's outcome, UNKNOWN
    (-1) where it is not known."""

    a: np.ndarray
    b: np.ndarray
    winner: np.ndarray


@dataclass(frozen=True)
class Effect:
    """What one point more on a criterion goes with in the vote, in Elo points: `effect` with its 95% interval and the
    two-sided p-value of none, the other criteria held; `spread` is one standard deviation of the differences between two
    images, in points of rating. Of the votes' deviance the criterion explains `alone` by itself, and `adds` beyond the
    others. `within` is the effect with the two models held too, with its interval: what is left to say of images of one
    model. None where it can't be told."""

    criterion: str
    effect: float | None
    lower: float | None
    upper: float | None
    p: float | None
    spread: float
    alone: float | None
    adds: float | None
    within: float | None
    within_lower: float | None
    within_upper: float | None


@dataclass(frozen=True)
class Explained:
    """`effects` largest first, one a criterion that was asked; all together explain `share` of the deviance of `votes`
    votes by `voters` voters, and name the winner of `right` of the decided ones. `refused`: why there are none, or ''."""

    effects: tuple
    share: float | None
    right: float | None
    votes: int
    voters: int
    refused: str = ""


def paired(feedback):
    """The Paired battles of Feedback; a battle needs the same voter's rows on two different images."""
    known = np.flatnonzero(feedback.battle.codes >= 0)
    order = known[np.lexsort((feedback.voter.codes[known], feedback.battle.codes[known]))]
    battle, voter = feedback.battle.codes[order], feedback.voter.codes[order]
    new = np.ones(len(order), bool)
    new[1:] = (battle[1:] != battle[:-1]) | (voter[1:] != voter[:-1])
    starts = np.flatnonzero(new)
    size = np.diff(np.append(starts, len(order)))
    first, second = order[starts[size == 2]], order[starts[size == 2] + 1]
    sided = (feedback.side[first] != UNKNOWN) & (feedback.side[second] != UNKNOWN)
    one, other = (np.where(sided, feedback.side[rows], feedback.model.codes[rows]) for rows in (first, second))
    turned = one > other
    a, b = np.where(turned, second, first), np.where(turned, first, second)
    kept = (feedback.image.codes[a] != feedback.image.codes[b]) & (~sided | (one != other))
    a, b, sided = a[kept], b[kept], sided[kept]
    return Paired(a, b, np.where(sided, feedback.winner[a], UNKNOWN).astype(np.int64))


def votes_of(feedback, pairs, criterion):
    """Checked Votes of one criterion from Paired ratings: higher wins, equal is a draw (as both_good)."""
    scores = feedback.scores[:, CRITERIA.index(criterion)]
    both = np.isfinite(scores[pairs.a]) & np.isfinite(scores[pairs.b])
    a, b = pairs.a[both], pairs.b[both]
    outcome = np.where(scores[a] > scores[b], A_WINS, np.where(scores[a] < scores[b], B_WINS, BOTH_GOOD))
    columns = {
        "model_a": feedback.model.take(a),
        "model_b": feedback.model.take(b),
        "winner": [OUTCOMES[code] for code in outcome.tolist()],
        "created_at": feedback.created_at[a],
        "image_a": feedback.image.take(a),
        "image_b": feedback.image.take(b),
        **{name: getattr(feedback, name).take(a) for name in ("prompt_id", "voter", "category")},
    }
    return check(Raw(f"{feedback.source}, {criterion}", columns))


def board(feedback, pairs, criterion, seed=0, clusters=AUTO, voter_cap=None):
    """The standings.Table of one criterion, by Bradley-Terry."""
    votes = capped(votes_of(feedback, pairs, criterion), voter_cap)
    return table(votes, Pairs.of(tally(votes).total()), METHOD, np.random.default_rng(seed), clusters=clusters)


def explained(feedback, pairs):
    """The Explained votes: log odds of side a = gamma + sum of beta_c (rating of a - rating of b on c), gamma for standing
    on side a; draws count half. Intervals are sandwiches that take the votes of one voter together (Liang & Zeger
    1986), with Student's t of as many degrees of freedom as there are voters but one."""
    known = pairs.winner != UNKNOWN
    asked = [at for at in range(len(CRITERIA)) if np.isfinite(feedback.scores[:, at]).any()]
    difference = feedback.scores[pairs.a][:, asked] - feedback.scores[pairs.b][:, asked]
    known &= np.isfinite(difference).all(axis=1)
    a, b, difference = pairs.a[known], pairs.b[known], difference[known]
    voters = len(np.unique(feedback.voter.codes[a])) if len(a) else 0
    found = Explained((), None, None, len(a), voters)
    if not asked or len(a) < VOTES_EACH * (len(asked) + 1):
        few = f"{VOTES_EACH} votes with both images rated are needed for each criterion and for the side"
        return replace(found, refused=few)
    score = SCORES[pairs.winner[known]]
    x = np.column_stack([np.ones(len(a)), difference])
    side = np.zeros(len(a), np.int64)
    design = Design(side, side, score, np.ones(len(a)), x, 1)
    clusters = [feedback.voter.codes[a]] if voters > 1 else []
    plain = _estimated(design, clusters)
    if plain is None:
        why = "the ratings decide the votes alone, or follow from one another: no effect has a finite value"
        return replace(found, refused=why)
    held = _with_models(feedback, a, b, score, x, clusters)
    beta, deviation, degrees = plain
    least, best = _deviance(design, [0]), _deviance(design, range(x.shape[1]))
    effects = []
    for at, criterion in enumerate(asked, 1):
        alone, others = _deviance(design, [0, at]), _deviance(design, [k for k in range(x.shape[1]) if k != at])
        half = float(student(degrees)) * deviation[at]
        p = two_sided(float(beta[at] / deviation[at]), degrees) if deviation[at] > 0 else None
        within = (None, None, None)
        if held is not None:
            reach = float(student(held[2])) * held[1][at]
            within = tuple(float(SCALE * end) for end in (held[0][at], held[0][at] - reach, held[0][at] + reach))
        effects.append(Effect(CRITERIA[criterion], float(SCALE * beta[at]), float(SCALE * (beta[at] - half)),
                              float(SCALE * (beta[at] + half)), p, float(x[:, at].std()), _part(alone, least),
                              _part(best, least) - _part(others, least) if others is not None else None,
                              *within))  # fmt: skip
    decided = score != 0.5
    named = np.sign(x @ beta)[decided] == np.sign(score[decided] - 0.5)
    effects.sort(key=lambda effect: -abs(effect.effect * effect.spread))
    return replace(found, effects=tuple(effects), share=_part(best, least),
                   right=float(named.mean()) if decided.any() else None)  # fmt: skip


def _estimated(design, clusters):
    """(coefficients, standard errors, degrees of freedom) of the covariates, or None where they are not finite."""
    parameters, information = fit(design)
    if parameters is None or np.linalg.matrix_rank(information) < len(information) - 1:
        return None
    values = covariance(design, parameters, information, clusters)
    deviation = np.sqrt(np.maximum(np.diag(values), 0.0))[design.models :]
    degrees = max(len(np.unique(clusters[0])) - 1.0, 1.0) if clusters else math.inf
    return parameters[design.models :], deviation, degrees


def _with_models(feedback, a, b, score, x, clusters):
    """As _estimated, with a strength for each model, over the votes among models that can be compared."""
    models = len(feedback.model.names)
    first, second = feedback.model.codes[a].astype(np.int64), feedback.model.codes[b].astype(np.int64)
    counts = np.zeros((models, models, len(OUTCOMES)), np.int64)
    outcome = np.where(score == 1.0, A_WINS, np.where(score == 0.0, B_WINS, BOTH_GOOD))
    np.add.at(counts, (first, second, outcome), 1)
    members, _ = core(Pairs.of(counts))
    place = np.full(models, -1)
    place[members] = np.arange(len(members))
    inside = (place[first] >= 0) & (place[second] >= 0) & (first != second)
    if len(members) < 2 or inside.sum() < VOTES_EACH * (len(members) + x.shape[1]):
        return None
    design = Design(place[first[inside]], place[second[inside]], score[inside], np.ones(int(inside.sum())), x[inside],
                    len(members))  # fmt: skip
    return _estimated(design, [codes[inside] for codes in clusters])


def _deviance(design, columns):
    """The deviance with these covariates alone, or None where there is no finite fit."""
    part = replace(design, x=design.x[:, list(columns)])
    parameters, _ = fit(part)
    if parameters is None:
        return None
    chance = np.clip(logistic(part.log_odds(parameters)), 1e-15, 1 - 1e-15)
    return -2.0 * float(part.score @ np.log(chance) + (1.0 - part.score) @ np.log(1.0 - chance))


def _part(deviance, least):
    return None if deviance is None or not least else 1.0 - deviance / least
