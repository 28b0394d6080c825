"""Owns the contextual Bradley-Terry fit: models' strengths and further covariates of each vote, with their covariance.

The log odds that side a is better are theta_a - theta_b + beta . x. A draw is half a win for each side.
"""

from dataclasses import dataclass

import numpy as np

STEEPEST = 12.0  # log odds of a unit of a covariate: steeper is a coefficient on its way to infinity
MOST_STEPS = 60
IN_DOUBT = 1e-3  # votes
BLOCK = 4096  # clusters whose scores are held at once


@dataclass(frozen=True)
class Design:
    """n votes among R models: `a`, `b` int [n], `score` float [n] of side a, `weight` [n], `x` float64 [n, E]."""

    a: np.ndarray
    b: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    x: np.ndarray
    models: int

    def products(self, weight):
        """Z' diag(weight) Z, [R + E, R + E], where row i of Z is 1 at a_i, -1 at b_i, then x_i."""
        size, models = self.models + self.x.shape[1], self.models
        out = np.zeros((size, size))
        met = np.bincount(self.a * models + self.b, weight, models * models).reshape(models, models)
        met = met + met.T
        out[:models, :models] = np.diag(met.sum(axis=1)) - met
        weighted = self.x * weight[:, None]
        for at in range(self.x.shape[1]):
            out[:models, models + at] = self._by_model(weighted[:, at])
            out[models + at, :models] = out[:models, models + at]
        out[models:, models:] = self.x.T @ weighted
        return out

    def summed(self, residual):
        """Z' residual, [R + E]."""
        return np.concatenate([self._by_model(residual), self.x.T @ residual])

    def log_odds(self, parameters):
        """Z parameters, [n]."""
        strength = parameters[: self.models]
        return strength[self.a] - strength[self.b] + self.x @ parameters[self.models :]

    def _by_model(self, values):
        return np.bincount(self.a, values, self.models) - np.bincount(self.b, values, self.models)


def fit(design):
    """(parameters [R + E], information [R + E, R + E]) at the maximum of the likelihood, strengths with mean zero.

    Newton's method with step halving. Parameters is None where there is no finite maximum, or none was reached.
    """
    size = design.models + design.x.shape[1]
    parameters = np.zeros(size)
    shift = np.zeros(size)
    shift[: design.models] = 1.0
    total = design.weight.sum()
    value = _log_likelihood(design, parameters)
    for _ in range(MOST_STEPS):
        expected = logistic(design.log_odds(parameters))
        gradient = design.summed(design.weight * (design.score - expected))
        information = design.products(design.weight * expected * (1.0 - expected))
        if np.abs(gradient).max() < 1e-10 * total:
            if _runs_away(design, information, shift):
                return None, information
            parameters[: design.models] -= parameters[: design.models].mean()
            return parameters, information
        regular = information + np.outer(shift, shift) * (np.trace(information) / size**2)
        try:
            step = np.linalg.solve(regular, gradient)
        except np.linalg.LinAlgError:
            return None, information
        step *= min(1.0, 5.0 / np.abs(step).max())
        while (new := _log_likelihood(design, parameters + step)) < value - 1e-12 * abs(value):
            step /= 2.0
        parameters, value = parameters + step, new
        if np.abs(parameters[design.models :]).max(initial=0.0) > STEEPEST:
            return None, information
    return None, information


def _runs_away(design, information, shift):
    """Whether the likelihood grows without end in some direction (separated votes: Albert & Anderson 1984), although its
    slope is too small to be seen: no vote that the direction tells apart is left in doubt, while a single vote against
    it would leave about one."""
    ridge = np.outer(shift, shift)
    try:
        root = np.linalg.inv(np.linalg.cholesky(design.products(design.weight) + ridge))
    except np.linalg.LinAlgError:
        return False
    _, vectors = np.linalg.eigh(root @ (information + ridge) @ root.T)
    direction = root.T @ vectors[:, 0]
    reach = np.abs(design.log_odds(direction)).max(initial=0.0)
    doubt = float(direction @ information @ direction)
    return reach > 0 and doubt < IN_DOUBT * design.weight.mean() * reach**2


def logistic(log_odds):
    return 0.5 * (1.0 + np.tanh(0.5 * log_odds))


def _log_likelihood(design, parameters):
    odds = design.log_odds(parameters)
    return float(design.weight @ (design.score * odds - np.logaddexp(0.0, odds)))


def covariance(design, parameters, information, clusters):
    """The sandwich covariance [R + E, R + E] of the parameters, strengths taken less their mean.

    `clusters` are int arrays [n] (-1: alone): none for independent votes, one, or three, of which the last is the
    intersection of the first two (Cameron, Gelbach & Miller 2011).
    """
    size = len(parameters)
    shift = np.zeros(size)
    shift[: design.models] = 1.0
    bread = np.linalg.inv(information + np.outer(shift, shift) * (np.trace(information) / size**2))
    bread[: design.models] -= bread[: design.models].mean(axis=0)
    residual = design.weight * (design.score - logistic(design.log_odds(parameters)))
    if not clusters:
        return bread @ design.products(residual**2) @ bread.T
    parts = [_meat(design, residual, codes) for codes in clusters]
    meat = parts[0] if len(parts) == 1 else parts[0] + parts[1] - parts[2]
    values = bread @ meat @ bread.T
    if len(parts) > 1:
        spread, vectors = np.linalg.eigh((values + values.T) / 2.0)
        values = (vectors * np.maximum(spread, 0.0)) @ vectors.T
    return values


def _meat(design, residual, codes):
    """Sum over clusters of the outer product of their summed scores, times G / (G - 1)."""
    alone = codes < 0
    meat = design.products(np.where(alone, residual, 0.0) ** 2)
    rows = np.flatnonzero(~alone)
    rows = rows[np.argsort(codes[rows], kind="stable")]
    if not len(rows):
        return meat
    _, cluster = np.unique(codes[rows], return_inverse=True)
    groups, models = int(cluster[-1]) + 1, design.models
    starts = range(0, groups, BLOCK)
    edges = np.searchsorted(cluster, [*starts, groups])
    for start, first, last in zip(starts, edges[:-1], edges[1:], strict=True):
        held, row, part = min(BLOCK, groups - start), rows[first:last], cluster[first:last] - start
        score = residual[row]
        of_models = np.bincount(part * models + design.a[row], score, held * models)
        of_models -= np.bincount(part * models + design.b[row], score, held * models)
        of_more = [np.bincount(part, score * x, held) for x in design.x[row].T]
        summed = np.column_stack([of_models.reshape(held, models), *of_more])
        meat += summed.T @ summed
    independent = groups + int(alone.sum())
    return meat * independent / max(1, independent - 1)
