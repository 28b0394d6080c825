"""Owns ranks: by overlap of intervals, and bounds that hold for all ranks at once."""

import math

import numpy as np


def overlap_ranks(lower, upper):
    """1 + the number of models whose lower bound is above this one's upper; NaN bounds put nobody above."""
    return 1 + (lower[None, :] > upper[:, None]).sum(axis=1)


def simultaneous_ranks(rating, draws):
    """Bounds (lower, upper), each int [R], that hold for all ranks at once with 95% confidence.

    A pair is told apart where its difference exceeds c standard errors, c being the 95% point over the joint
    draws of the largest standardised error of any pair (Mogstad, Romano, Shaikh & Wilhelm 2024).
    """
    count = len(rating)
    if count < 2:
        return np.ones(count, np.int64), np.ones(count, np.int64)
    error = np.ascontiguousarray((draws - draws.mean(axis=0)).T)
    covariance = error @ error.T / len(draws)
    variance = np.diag(covariance)
    deviation = np.maximum(np.sqrt(np.maximum(variance[:, None] + variance - 2 * covariance, 0.0)), 1e-9)
    error, scale = error.astype(np.float32), (1.0 / deviation).astype(np.float32)
    largest = np.zeros(len(draws), np.float32)
    for apart_by in range(1, count):  # all pairs of places that far apart at once
        against = error[apart_by:] - error[:-apart_by]
        against *= scale.diagonal(apart_by)[:, None]
        np.maximum(largest, np.abs(against, out=against).max(axis=0), out=largest)
    critical = float(np.sort(largest)[math.ceil(0.95 * len(largest)) - 1])
    apart = rating[:, None] - rating > critical * deviation  # [i, j]: i is surely better than j
    return 1 + apart.sum(axis=0), count - apart.sum(axis=1)
