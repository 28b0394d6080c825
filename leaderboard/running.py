"""Owns Running: Bradley-Terry ratings that follow the votes one by one.

A vote changes two cells of the counts; the refit starts from the last answer and needs a step or two of Newton's
method on K x K numbers, however many votes came before.
"""

from functools import partial

import numpy as np

from leaderboard import errors
from leaderboard.ratings import SCALE, Ratings, core
from leaderboard.ratings.bradley_terry import estimate, fit
from leaderboard.tally import Pairs
from leaderboard.votes import A_WINS, ALIASES, B_WINS, BOTH_BAD, BOTH_GOOD, OUTCOMES


class Running:
    """Counts of votes and the ratings of them; `models` are the K names so far, in the order in which they came.

    A vote's models are names, of which a new one becomes a contender, or codes, which index `models`; its outcome is a
    name as in a source of votes, or a code, which indexes OUTCOMES. Not safe to change from several threads at once.
    """

    def __init__(self, models=(), counts=None):
        """Start from `counts` int64 [K, K, 4] by side and outcome, as leaderboard.tally counts them, or from nothing."""
        self._place = {name: code for code, name in enumerate(models)}
        size = len(self._place)
        self.counts = np.zeros((size, size, len(OUTCOMES)), np.int64) if counts is None else np.array(counts, np.int64)
        if self.counts.shape != (size, size, len(OUTCOMES)):
            raise ValueError(f"counts of {size} models have the shape {(size, size, len(OUTCOMES))}")
        self._strength = np.zeros(size)
        self._settle()

    @property
    def models(self):
        """The names, a tuple of K."""
        return tuple(self._place)

    def add(self, model_a, model_b, outcome):
        """Take in one vote. Raises errors.BadVotes for one that says nothing, IndexError for a code of no model."""
        self._count(self._code(model_a), self._code(model_b), self._outcome(outcome), 1)

    def take_back(self, model_a, model_b, outcome):
        """Undo one vote that was added, such as one that is excluded now. Raises errors.BadVotes where there is none."""
        names = [name for name in (model_a, model_b) if isinstance(name, str) and name not in self._place]
        if names:
            raise errors.BadVotes(f"no vote of {names[0]!r} was counted: there is none to take back")
        self._count(self._code(model_a), self._code(model_b), self._outcome(outcome), -1)

    def ratings(self):
        """The Ratings of everything taken in so far, equal to those of a fresh fit of the same counts."""
        pairs = Pairs.of(self.counts)
        if self._members is None:
            self._members, self._status = self._core(pairs)
        members, rating, found = self._members, np.full(len(self._place), np.nan), None
        if len(members):
            inner = pairs if len(members) == len(rating) else pairs.only(members)
            strength = self._strength[members] = fit(inner, self._strength[members])
            rating[members] = SCALE * strength
            found = partial(estimate, inner, strength)
        return Ratings("bradley-terry", self.models, rating, self._status, found)

    def _core(self, pairs):
        """As ratings.core, which lets the first name decide between equals: so in alphabetical order."""
        order = np.array(sorted(range(len(self._place)), key=self.models.__getitem__), np.int64)
        members, status = core(pairs.only(order))
        return np.sort(order[members]), tuple(status[at] for at in np.argsort(order))

    def _settle(self):
        """Forget who can be rated: it is found again when it is asked for."""
        self._members, self._status = None, ()

    def _code(self, model):
        if isinstance(model, str):
            if not model.strip():
                raise errors.MissingValue("this vote has no model name")
            if model not in self._place:
                self._place[model] = len(self._place)
                self.counts = np.pad(self.counts, ((0, 1), (0, 1), (0, 0)))
                self._strength = np.append(self._strength, 0.0)
                self._settle()
            return self._place[model]
        if not 0 <= model < len(self._place):
            raise IndexError(f"the code {model} names no model: there are {len(self._place)}")
        return int(model)

    def _outcome(self, outcome):
        if isinstance(outcome, str):
            outcome = ALIASES.get(outcome, outcome)
            if outcome not in OUTCOMES:
                raise errors.UnknownOutcome(f"{outcome!r} names no outcome; known are {', '.join(OUTCOMES)}")
            return OUTCOMES.index(outcome)
        if not 0 <= outcome < len(OUTCOMES):
            raise errors.UnknownOutcome(f"the code {outcome} names no outcome: there are {len(OUTCOMES)}")
        return int(outcome)

    def _count(self, a, b, outcome, change):
        if a == b:
            raise errors.BadVotes(f"{self.models[a]!r} did not meet another model")
        if self.counts[a, b, outcome] + change < 0:
            raise errors.BadVotes(f"{self.models[a]!r} and {self.models[b]!r} have no such vote to take back")
        before = self._scored(a, b)
        self.counts[a, b, outcome] += change
        if self._members is None:
            return
        if before != self._scored(a, b):  # where everybody can be rated, one more who scored changes nothing
            stays = change > 0 and len(self._members) == len(self._place)
        else:  # battles decide between sets of one size
            stays = 2 * len(self._members) > len(self._place)
        if not stays:
            self._settle()

    def _scored(self, a, b):
        """Whether a ever scored against b, and b against a."""
        here, there = self.counts[a, b], self.counts[b, a]
        drew = here[BOTH_GOOD] + here[BOTH_BAD] + there[BOTH_GOOD] + there[BOTH_BAD] > 0
        return drew or here[A_WINS] + there[B_WINS] > 0, drew or here[B_WINS] + there[A_WINS] > 0
