"""Owns the confidence sequence: intervals for a board that is watched while it grows and read at a moment of the
reader's choosing, such as when two models have just come apart."""

import math

import numpy as np

LEVEL = 0.05
TUNED_FOR = 500  # battles of a model at which the sequence is narrowest


def widening(battles, tuned_for=TUNED_FOR):
    """Factor [R] on a standard error after `battles` [R] so that the interval holds at all times at once.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas (2024, theorem 2.2), in which
    the fixed interval's 1.96 becomes sqrt(2 (1 + 1 / x) log(sqrt(1 + x) / 0.05)) with x = battles * rho^2. Their
    equation for the best rho at one moment is solved by rho^2 = (-2 log 0.05 + log(1 - 2 log 0.05)) / tuned_for,
    which we take at 500 battles: the interval is then 1.5 times as wide as the fixed one, and close to that over a
    hundredfold range. It holds for large samples, so that watching should begin at some 50 battles, not at the first.
    """
    rho = (-2.0 * math.log(LEVEL) + math.log(1.0 - 2.0 * math.log(LEVEL))) / tuned_for
    x = np.maximum(np.asarray(battles, float), 1.0) * rho
    return np.sqrt(2.0 * (1.0 + 1.0 / x) * np.log(np.sqrt(1.0 + x) / LEVEL))
