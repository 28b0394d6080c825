"""Owns the Ticker: the board's online Elo, kept up to date vote by vote, at a million votes as at ten.

Votes lie in columns; now and then the ratings are marked. Where votes are taken back, all is counted again from the last
mark before the first of them. Counting can be done some votes at a time.
"""

from array import array
from collections import OrderedDict

import numpy as np

from leaderboard.ratings import CENTRE, ELO_K

SCORES = {"model_a": 1.0, "model_b": 0.0, "both_good": 0.5, "both_bad": 0.5}
MARK = 512  # votes between two marks
REMEMBERED = 1000  # changes kept for reveals that are still under way
FEW = 8  # votes that are looked for one by one


class Ticker:
    """For one thread at a time. `behind` is how many votes are taken in and not counted."""

    def __init__(self):
        self._models, self._rating = {}, []
        self._a, self._b, self._score, self._out = array("i"), array("i"), array("d"), bytearray()
        self._ids = array("q")  # Python's hashes of the vote_ids: of a million, two are alike once in 10 million arenas
        self._counted, self._marks = 0, []  # marks[k]: the ratings before vote k * MARK
        self._early = {}  # exclusions that came before their votes: vote_id -> whether it is excluded
        self._last = []  # the vote_ids of the last votes
        self._changes = OrderedDict()

    @property
    def ratings(self):
        """{model: Elo} of every model that was in a vote."""
        return dict(zip(self._models, self._rating, strict=True))

    @property
    def behind(self):
        return len(self._out) - self._counted

    def change(self, vote_id):
        """{"a": {"before", "after"}, "b": the same} of one of the last votes, None of any other."""
        return self._changes.get(vote_id)

    def add(self, vote_ids, model_a, model_b, winner):
        """Take in votes, in their order. Raises KeyError for an outcome that is none, and then nothing is taken in."""
        scores = [SCORES[outcome] for outcome in winner]
        for model in dict.fromkeys(name for pair in zip(model_a, model_b, strict=True) for name in pair):
            if model not in self._models:
                self._models[model] = len(self._models)
                self._rating.append(CENTRE)
        self._a.extend(map(self._models.__getitem__, model_a))
        self._b.extend(map(self._models.__getitem__, model_b))
        self._score.extend(scores)
        self._ids.extend(map(hash, vote_ids))
        early = self._early
        self._out.extend(early.pop(vote, False) for vote in vote_ids) if early else self._out.extend(bytes(len(scores)))
        self._last = (self._last + vote_ids)[-REMEMBERED:]

    def exclude(self, rows):
        """Leave out these votes, or count those that are "restored". An exclusion may come before its vote."""
        wanted = {row["vote_id"]: row["reason"] != "restored" for row in rows}
        places = self._places(list(wanted))
        first = self._counted
        for vote_id, out in wanted.items():
            place = places.get(vote_id)
            if place is None:
                self._early[vote_id] = out
            elif bool(self._out[place]) != out:
                self._out[place] = out
                first = min(first, place)
        if first < self._counted:
            mark = first // MARK
            del self._marks[mark + 1 :]
            self._rating = [*self._marks[mark], *[CENTRE] * (len(self._models) - len(self._marks[mark]))]
            self._counted = mark * MARK

    def count(self, most):
        """Count up to so many votes."""
        end = min(len(self._out), self._counted + most)
        while self._counted < end:
            if self._counted % MARK == 0:
                del self._marks[self._counted // MARK :]
                self._marks.append(array("d", self._rating))
            stop = min(end, self._counted // MARK * MARK + MARK)
            rows = slice(self._counted, stop)
            told = range(len(self._out) - len(self._last), len(self._out))  # places of the votes whose changes are kept
            self._play(rows, self._last[max(0, self._counted - told.start) : max(0, stop - told.start)])
            self._counted = stop

    def _play(self, rows, told):
        """`told` are the vote_ids of the last of these rows."""
        rating, columns = self._rating, [column[rows] for column in (self._a, self._b, self._score, self._out)]
        quiet = len(columns[0]) - len(told)
        for a, b, score, out in zip(*(column[:quiet] for column in columns), strict=True):
            if not out:
                gain = ELO_K * (score - 1 / (1 + 10 ** ((rating[b] - rating[a]) / 400)))
                rating[a] += gain
                rating[b] -= gain
        for vote_id, a, b, score, out in zip(told, *(column[quiet:] for column in columns), strict=True):
            before = rating[a], rating[b]
            if not out:
                gain = ELO_K * (score - 1 / (1 + 10 ** ((rating[b] - rating[a]) / 400)))
                rating[a] += gain
                rating[b] -= gain
            self._changes[vote_id] = {
                "a": {"before": before[0], "after": rating[a]},
                "b": {"before": before[1], "after": rating[b]},
            }
        while len(self._changes) > REMEMBERED:
            self._changes.popitem(last=False)

    def _places(self, vote_ids):
        """{vote_id: its place} of those that are here."""
        if not vote_ids or not len(self._ids):
            return {}
        ids = np.array(self._ids)
        wanted = np.array([hash(vote_id) for vote_id in vote_ids])
        if len(wanted) <= FEW:
            found = {vote_id: np.flatnonzero(ids == key) for vote_id, key in zip(vote_ids, wanted, strict=True)}
            return {vote_id: int(places[0]) for vote_id, places in found.items() if len(places)}
        order = np.argsort(ids)
        at = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
        hits = np.flatnonzero(ids[order[at]] == wanted)
        return {vote_ids[hit]: int(order[at[hit]]) for hit in hits}
