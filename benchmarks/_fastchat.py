"""FastChat's published method, written anew from its description, in both forms that it has had.

2023: a frame of battles is pivoted into counts for each ordered pair; every pair becomes two rows of a logistic
regression without intercept whose design holds +log(10) for one model and -log(10) for the other, weighted by the
counts, a tie counting as half a win for each (wins are doubled). scikit-learn fits it without a penalty, to 1e-6. Its
bootstrap draws the frame's rows again and refits; `resample_counts` spares it that and draws the counts.

2024: the distinct (model, model, outcome) triples of the frame are counted, and the likelihood is maximised by
L-BFGS-B with a gradient tolerance of 1e-6. Its bootstrap draws the counts from a multinomial distribution and refits
each from zero. Published, it runs in a pool of processes; here it runs in one, as everything that it is compared with.

Source: lm-sys/FastChat, fastchat/serve/monitor/elo_analysis.py, and the notebook before it.
"""

from __future__ import annotations

import math

import numpy as np

BASE = math.log(10.0)


def pivot(frame) -> np.ndarray:
    """Counts [K, K, 3] of the frame: side a won, side b won, tie; the models in the order of their names."""
    import pandas as pd

    names = sorted(set(frame["model_a"]) | set(frame["model_b"]))
    kinds = (["model_a"], ["model_b"], ["tie", "tie (bothbad)"])
    found = [pd.pivot_table(frame[frame["winner"].isin(kind)], index="model_a", columns="model_b", aggfunc="size",
                            fill_value=0).reindex(index=names, columns=names, fill_value=0) for kind in kinds]  # fmt: skip
    return np.stack([part.to_numpy(float) for part in found], axis=2)


def regress(counts: np.ndarray) -> np.ndarray:
    """Ratings of counts [K, K, 3] by scikit-learn, 400 points a factor of ten."""
    from sklearn.linear_model import LogisticRegression

    models = len(counts)
    tie = counts[..., 2] + counts[..., 2].T
    wins = 2 * counts[..., 0] + 2 * counts[..., 1].T + tie
    first, second = np.nonzero(~np.eye(models, dtype=bool))
    rows = np.arange(len(first))
    design = np.zeros((2 * len(first), models))
    for start in (0, len(first)):
        design[start + rows, first], design[start + rows, second] = BASE, -BASE
    outcome = np.repeat([1.0, 0.0], len(first))
    weight = np.concatenate([wins[first, second], wins[second, first]])
    fitted = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-6).fit(design, outcome, sample_weight=weight)
    return 400.0 * fitted.coef_[0] + 1000.0


def pivot_and_regress(frame) -> np.ndarray:
    return regress(pivot(frame))


def resample_frame(frame, rounds: int, seed: int = 0) -> np.ndarray:
    return np.array([pivot_and_regress(frame.sample(frac=1.0, replace=True, random_state=seed + k))
                     for k in range(rounds)])  # fmt: skip


def resample_counts(frame, rounds: int, seed: int = 0) -> np.ndarray:
    counts = pivot(frame)
    drawn = np.random.default_rng(seed).multinomial(len(frame), counts.ravel() / counts.sum(), rounds)
    return np.array([regress(part.reshape(counts.shape)) for part in drawn])


def triples(frame):
    """(pairs [m, 2], outcomes [m] of the first of each pair, weights [m], number of models)."""
    import pandas as pd

    models = pd.unique(frame[["model_a", "model_b"]].to_numpy().ravel()).tolist()
    place = {name: code for code, name in enumerate(models)}
    schedule = np.empty((len(frame), 3), np.int32)
    schedule[:, :2] = frame[["model_a", "model_b"]].map(place.__getitem__).to_numpy()
    schedule[:, 2] = np.select([frame["winner"] == "model_a", frame["winner"] == "model_b"], [2, 0], default=1)
    distinct, weights = np.unique(schedule, return_counts=True, axis=0)
    return distinct[:, :2], distinct[:, 2] / 2.0, weights.astype(float), models


def climb(pairs, outcomes, weights, models: int) -> np.ndarray:
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(ratings):
        given = ratings[pairs]
        chance = expit(BASE * (given[:, 0] - given[:, 1]))
        value = -((np.log(chance) * outcomes + np.log(1.0 - chance) * (1.0 - outcomes)) * weights).sum()
        slope, gradient = -BASE * (outcomes - chance) * weights, np.zeros_like(ratings)
        np.add.at(gradient, pairs, slope[:, None] * np.array([1.0, -1.0]))
        return value, gradient

    options = {"maxiter": 100, "gtol": 1e-6}
    return minimize(loss, np.zeros(models), jac=True, method="L-BFGS-B", options=options).x


def count_and_climb(frame) -> np.ndarray:
    pairs, outcomes, weights, models = triples(frame)
    return 400.0 * climb(pairs, outcomes, weights, len(models)) + 1000.0


def resample_triples(frame, rounds: int, seed: int = 0) -> np.ndarray:
    pairs, outcomes, weights, models = triples(frame)
    drawn = np.random.default_rng(seed).multinomial(len(frame), weights / weights.sum(), rounds) / len(frame)
    return np.array([400.0 * climb(pairs, outcomes, weight, len(models)) + 1000.0 for weight in drawn])


def elo(frame) -> dict[str, float]:
    rating = dict.fromkeys(sorted(set(frame["model_a"]) | set(frame["model_b"])), 1000.0)
    scores = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (bothbad)": 0.5}
    for _, a, b, winner in frame.itertuples():
        gain = 4 * (scores[winner] - 1 / (1 + 10 ** ((rating[b] - rating[a]) / 400)))
        rating[a] += gain
        rating[b] -= gain
    return rating
