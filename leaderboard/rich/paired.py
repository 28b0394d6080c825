"""Owns paired ratings: both images of one battle rated by one voter; a board for each criterion, and what explains votes.

On a criterion's board the image with the higher rating wins, and equal ratings are a draw, so that it is a board like
any other, with the same intervals. What explains the votes is a logistic regression of who won on the differences of
the ratings.
"""

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from leaderboard.clusters import AUTO, capped
from leaderboard.contextual import Design, fit, logistic
from leaderboard.feedback import UNKNOWN
from leaderboard.feedback_formats import CRITERIA
from leaderboard.ratings import SCALE, SCORES, core
from leaderboard.rich.values import voters_of
from leaderboard.sandwich import student, two_sided
from leaderboard.sources import Raw
from leaderboard.standings import table
from leaderboard.tally import Pairs, tally
from leaderboard.votes import A_WINS, B_WINS, BOTH_GOOD, OUTCOMES, check

METHOD = "bradley-terry"
MOST_LEVERAGE = 0.9
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
    votes by `voters` voters, and name the winner of `right` of the decided ones. `refused`: why there are none, or ''.
    `apart` are criteria that too few voters rated together with these, or in which no two images differed."""

    effects: tuple
    share: float | None
    right: float | None
    votes: int
    voters: int
    refused: str = ""
    apart: tuple = ()


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


def one_sided(feedback):
    """(battles, those of which one image alone has feedback, those of them that were decided, and in which it lost): who may
    choose what to speak of chooses by what they saw."""
    codes = feedback.battle.codes
    known = codes >= 0
    size = np.bincount(codes[known], minlength=1)
    alone = known & (size[codes] == 1)
    decided = alone & (feedback.side != UNKNOWN) & np.isin(feedback.winner, (A_WINS, B_WINS))
    lost = decided & (feedback.side != feedback.winner)
    return int((size > 0).sum()), int(alone.sum()), int(decided.sum()), int(lost.sum())


def votes_of(feedback, pairs, criterion):
    """Checked Votes of one criterion from Paired ratings: higher wins, equal is a draw (as both_good)."""
    scores = feedback.scores[:, CRITERIA.index(criterion)]
    both = np.isfinite(scores[pairs.a]) & np.isfinite(scores[pairs.b])
    a, b = pairs.a[both], pairs.b[both]
    outcome = np.where(scores[a] > scores[b], A_WINS, np.where(scores[a] < scores[b], B_WINS, BOTH_GOOD))
    columns = {
        "model_a": feedback.model.take(a),
        "model_b": feedback.model.take(b),
        "vote_id": feedback.vote.take(a),
        "winner": [OUTCOMES[code] for code in outcome.tolist()],
        "created_at": feedback.created_at[a],
        "image_a": feedback.image.take(a),
        "image_b": feedback.image.take(b),
        **{name: getattr(feedback, name).take(a) for name in ("prompt_id", "voter", "category")},
    }
    return check(Raw(f"{feedback.source}, {criterion}", columns))


def board(feedback, pairs, criterion, seed=0, clusters=AUTO, voter_cap=None, weights=None):
    """The standings.Table of one criterion, by Bradley-Terry; `weights` {vote_id: weight}, where votes are reweighted, are
    those of the battles, too (1 where none is known)."""
    votes = votes_of(feedback, pairs, criterion)
    if weights is not None and len(votes):
        weight = np.array([weights.get(name, 1.0) for name in votes.vote_id.to_pylist()])
        votes = replace(votes, weight=weight / weight.mean(), reweighted=True)
    votes = capped(votes, voter_cap)
    return table(votes, Pairs.of(tally(votes).total()), METHOD, np.random.default_rng(seed), clusters=clusters)


def explained(feedback, pairs):
    """The Explained votes: log odds of side a = gamma + sum of beta_c (rating of a - rating of b on c), gamma for standing
    on side a; draws count half. Intervals are sandwiches that take the votes of one voter together (Liang & Zeger
    1986), and those on one prompt, whose images have more to them than was rated, with Student's t; of one voter or one
    prompt alone, they speak of those."""
    told = pairs.winner != UNKNOWN
    a, b = pairs.a[told], pairs.b[told]
    difference = feedback.scores[a] - feedback.scores[b]
    rated = [at for at in range(len(CRITERIA)) if np.isfinite(feedback.scores[:, at]).any()]
    differ = [at for at in rated if np.nan_to_num(difference[:, at]).any()]
    asked = _together_rated(np.isfinite(difference), differ)
    known = np.isfinite(difference[:, asked]).all(axis=1)
    a, b, difference = a[known], b[known], difference[known][:, asked]
    voters = len(np.unique(voters_of(feedback)[a]))
    apart = tuple(CRITERIA[at] for at in rated if at not in asked)
    found = Explained((), None, None, len(a), voters, apart=apart)
    if not asked or len(a) < VOTES_EACH * (len(asked) + 1):
        few = f"{VOTES_EACH} votes with both images rated are needed for each criterion and for the side"
        return replace(found, refused=few)
    score = SCORES[pairs.winner[known]]
    x = np.column_stack([np.ones(len(a)), difference])
    side = np.zeros(len(a), np.int64)
    design = Design(side, side, score, np.ones(len(a)), x, 1)
    ways = _together(feedback, a)
    plain = _estimated(design, ways)
    if plain is None:
        why = "the ratings decide the votes alone, or follow from one another: no effect has a finite value"
        return replace(found, refused=why)
    held = _with_models(feedback, a, b, score, x, ways)
    beta, deviation, degrees = plain
    least, best = _deviance(design, [0]), _deviance(design, range(x.shape[1]))
    effects = []
    for at, criterion in enumerate(asked, 1):
        alone, others = _deviance(design, [0, at]), _deviance(design, [k for k in range(x.shape[1]) if k != at])
        half = float(student(degrees[at])) * deviation[at]
        p = two_sided(float(beta[at] / deviation[at]), float(degrees[at])) if deviation[at] > 0 else None
        within = (None, None, None)
        if held is not None:
            reach = float(student(held[2][at])) * held[1][at]
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


def _together_rated(known, rated):
    """Of the criteria that were `rated`, the most that enough votes have all of; `known` bool [n, criteria] is where both
    images have a rating. With as many, those that more votes have. All where no vote has enough of any."""
    for size in range(len(rated), 0, -1):
        kinds = [list(kind) for kind in combinations(rated, size)]
        votes = [int(known[:, kind].all(axis=1).sum()) for kind in kinds]
        if max(votes) >= VOTES_EACH * (size + 1):
            return kinds[votes.index(max(votes))]
    return rated


def _together(feedback, rows):
    """The clusters, int64 [n] each, of the votes behind these rows: by voter, and by prompt; a vote without one stands
    alone. Without a way in which there is one cluster only; then of single votes, where nothing is left."""
    alone, prompt = np.arange(len(rows)), feedback.prompt_id.codes[rows].astype(np.int64)
    ways = (voters_of(feedback)[rows], np.where(prompt < 0, len(feedback.prompt_id.names) + alone, prompt))
    return [codes for codes in ways if len(codes) and codes.min() < codes.max()] or [alone]


def _estimated(design, ways):
    """(coefficients, standard errors, degrees of freedom), each [E], of the covariates; None where they are not finite.

    A sandwich with the votes of one cluster taken together, in each of one or two `ways` [n]: V(voter) + V(prompt) -
    V(both), not below either (Cameron, Gelbach & Miller 2011), the degrees of freedom joined after Satterthwaite (1946).
    """
    parameters, _ = fit(design)
    if parameters is None:
        return None
    first, rows = design.models - 1, np.arange(len(design.score))
    z = np.zeros((len(rows), design.models + design.x.shape[1]))
    z[rows, design.a] += 1.0
    z[rows, design.b] -= 1.0
    z[:, design.models :] = design.x
    z = z[:, 1:]  # the first model stands at 0
    chance = logistic(design.log_odds(parameters))
    weight = chance * (1.0 - chance)
    information = z.T @ (z * weight[:, None])
    if np.linalg.matrix_rank(information, hermitian=True) < len(information):
        return None
    root = np.linalg.inv(np.linalg.cholesky(information))
    z, residual = z @ root.T, design.score - chance  # in these units the information is 1
    ways = [*ways, np.unique(np.stack(ways), axis=1, return_inverse=True)[1]] if len(ways) > 1 else ways
    parts = [_spread(z, weight, residual, codes, root[:, first:]) for codes in ways]
    variance, degrees = parts[0]
    if len(parts) > 1:
        (one, one_degrees), (other, other_degrees), (both, _) = parts
        variance = np.maximum(np.maximum(one, other), one + other - both)
        joined = variance**2 / np.maximum(one**2 / one_degrees + other**2 / other_degrees, 1e-300)
        degrees = np.clip(joined, np.minimum(one_degrees, other_degrees), one_degrees + other_degrees)
    return parameters[design.models :], np.sqrt(variance), degrees


def _spread(z, weight, residual, cluster, root):
    """(variances, degrees of freedom), each [E], with the votes of one `cluster` [n] taken together, each cluster's score
    as if the fit had been made without it (CR3 of Bell & McCaffrey 2002): divided by 1 - h along the directions in which
    it has the leverage h, at most MOST_LEVERAGE. Degrees of freedom are fewer where a few clusters dominate (after Pan &
    Wall 2002)."""
    order = np.argsort(cluster, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(cluster[order])) + 1)
    leverage = np.minimum(weight * (z**2).sum(axis=1), MOST_LEVERAGE)
    alone = z * (residual / (1.0 - leverage))[:, None]  # of clusters of a single vote, with no loop
    moved = alone[[part[0] for part in parts]]
    for at, part in enumerate(parts):
        if len(part) == 1:
            continue
        own = z[part]
        leverage, vectors = np.linalg.eigh(own.T @ (own * weight[part, None]))
        moved[at] = vectors @ ((vectors.T @ (own.T @ residual[part])) / (1.0 - np.minimum(leverage, MOST_LEVERAGE)))
    square = (moved @ root) ** 2
    variance = square.sum(axis=0)
    degrees = 3.0 * variance**2 / np.maximum((square**2).sum(axis=0), 1e-300)
    return variance, np.clip(degrees, 1.0, max(len(parts) - 1.0, 1.0))


def _with_models(feedback, a, b, score, x, ways):
    """As _estimated, with a strength for each model, over the votes among models that can be compared; None for few."""
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
    return _estimated(design, [codes[inside] for codes in ways])


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
