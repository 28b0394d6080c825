"""Owns what votes share: which votes belong together (on one prompt, by one voter), and the cap on one voter's weight.

Votes on the same banked images share their luck, and votes by one person share a taste. Intervals that take them for
independent are too narrow: 95% intervals held the truth in 72% of cases with 200 banked prompts, in 68% with a few
voters who cast most of the votes, and in 95% of both taken together (benchmarks/coverage.py).

There is no cap by default, so that ratings come from plain counts. Clustered intervals hold without one; a cap of 100
votes makes them a quarter narrower where few people cast most votes, for a rating that listens less to those people.
"""

from dataclasses import replace

import numpy as np

from leaderboard import errors

FEWEST_CLUSTERS = 40  # below this many prompts or voters a clustered covariance is itself too uncertain
WAYS = {"prompt": "prompt_id", "voter": "voter"}
CHOICES = {"none": (), "prompt": ("prompt",), "voter": ("voter",), "both": ("prompt", "voter")}
AUTO = "auto"


def chosen(votes, clusters=AUTO, rated=None):
    """The ways, a tuple of names in WAYS, in which votes among the models `rated` (indices, None for all) are taken
    together.

    `auto` takes each way that is known for at least FEWEST_CLUSTERS different prompts (or voters) and that repeats; a
    way that is asked for by name is taken from two on. Raises errors.UnknownChoice for a name that is in no table.
    """
    if clusters != AUTO and clusters not in CHOICES:
        raise errors.UnknownChoice(f"can't cluster by {clusters!r}; known are {', '.join((AUTO, *CHOICES))}")
    ways = WAYS if clusters == AUTO else CHOICES[clusters]
    columns = {way: getattr(votes, WAYS[way]) for way in ways}
    columns = {way: column for way, column in columns.items() if len(column.names)}
    inside = slice(None)
    if columns and rated is not None and len(rated) < len(votes.models):
        known = np.zeros(len(votes.models), bool)
        known[rated] = True
        inside = known[votes.model_a] & known[votes.model_b]
    return tuple(way for way, column in columns.items() if _repeats(column.codes[inside], clusters == AUTO))


def _repeats(codes, automatic):
    size = np.bincount(codes[codes >= 0], minlength=1)
    found = int(np.count_nonzero(size))
    return found >= FEWEST_CLUSTERS and size.max() > 1 if automatic else found >= 2


def check_known(votes, clusters, voter_cap=None):
    """Raise errors.UnknownChoice where a way is asked for by name that these votes know nothing of."""
    named = () if clusters == AUTO else CHOICES.get(clusters, ())
    for way in named:
        if len(votes) and not (getattr(votes, WAYS[way]).codes >= 0).any():
            raise errors.UnknownChoice(f"can't cluster by {way}: no vote has a {WAYS[way]}")
    if voter_cap is not None and voter_cap <= 0:
        raise errors.UnknownChoice(f"the cap on a voter's weight must be above 0, but is {voter_cap}")


def codes_of(votes, ways):
    """int [n]: the cluster of each vote, counted from 0 without gaps worth mentioning; -1 for a vote that stands alone.

    With two ways the clusters are their intersection: the votes of one voter on one prompt.
    """
    columns = [getattr(votes, WAYS[way]) for way in ways]
    if len(columns) == 1:
        return columns[0].codes
    first, second = columns
    known = (first.codes >= 0) & (second.codes >= 0)
    key = np.where(known, first.codes.astype(np.int64) * len(second.names) + second.codes, -1)
    order = np.argsort(key)
    key = key[order]
    new = np.concatenate([[True], key[1:] != key[:-1]]) if len(key) else np.empty(0, bool)
    alone = (key < 0) | (new & np.concatenate([new[1:], [True]]) if len(key) else new)
    cluster = np.empty(len(key), np.int64)
    cluster[order] = np.where(alone, -1, np.cumsum(new & ~alone) - 1)
    return cluster


def capped(votes, cap):
    """The same votes, no voter weighing more than `cap` votes: with n votes each weighs min(1, cap / n).

    A vote whose voter is not known keeps its weight. Weights that are there already are multiplied.
    """
    if cap is None:
        return votes
    codes = votes.voter.codes
    cast = np.bincount(codes[codes >= 0], minlength=1)
    weight = np.where(codes >= 0, np.minimum(1.0, cap / np.maximum(cast, 1)[codes]), 1.0)
    return replace(votes, weight=weight if votes.weight is None else votes.weight * weight)
