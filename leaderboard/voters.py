"""Owns the voters: what each cast, how often they agree with the others, and who may be named.

A voter is named only where their latest vote was cast signed in and carries the name that they agreed to show; who
takes the consent back is not named any more. Everybody else is in one line of the public table.
"""

from dataclasses import dataclass

import numpy as np

from leaderboard.agreement import shares_of_others
from leaderboard.gold import gold_counts
from leaderboard.intervals import wilson
from leaderboard.votes import A_WINS, BOTH_BAD, BOTH_GOOD

NOT_NAMED = "not named"


@dataclass(frozen=True)
class Voters:
    """V voters, most votes first (ties by id). `ids` as they are in the source, `names` with None for who is not
    named; int64 [V]: `votes`, `both_good`, `both_bad`, `left` (side a chosen), `compared` (votes on a pair that has
    other voters), `gold_right`, `gold_asked`; float64 [V] `alike`: of `compared` votes, the sum of the shares of a
    pair's other voters who chose the same. `nameless` counts votes without a voter."""

    ids: tuple
    names: tuple
    votes: np.ndarray
    both_good: np.ndarray
    both_bad: np.ndarray
    left: np.ndarray
    compared: np.ndarray
    alike: np.ndarray
    gold_right: np.ndarray
    gold_asked: np.ndarray
    nameless: int

    def __len__(self):
        return len(self.ids)

    def all_rows(self, ids=False):
        """One dict a voter, for whoever holds the file; with `ids` the voter's id in it, as `voter`."""
        rows = [self.row(np.array([at]), self.names[at]) for at in range(len(self))]
        return [{"voter": voter} | row for voter, row in zip(self.ids, rows, strict=True)] if ids else rows

    def public_rows(self):
        """A dict for each named voter, then one for all others together."""
        rows = [self.row(np.array([at]), name) for at, name in enumerate(self.names) if name is not None]
        rest = np.array([at for at, name in enumerate(self.names) if name is None], np.int64)
        if len(rest) or self.nameless:
            rows.append(self.row(rest, NOT_NAMED, self.nameless))
        return rows

    def row(self, at, name, more=0):
        """These voters taken together, with `more` votes of nobody known: the row of one table.

        The intervals are Wilson's. `agreement` is a mean of shares, whose variance is never above that of as many
        yes-or-no answers, so its interval is rather too wide.
        """

        def total(column):
            return int(getattr(self, column)[at].sum())

        votes, compared = total("votes"), total("compared")
        alike = float(self.alike[at].sum())
        left_lower, left_upper = wilson(total("left"), votes)
        lower, upper = wilson(alike, compared)
        everybody = int(self.votes.sum()) + self.nameless
        return {
            "name": name,
            "voters": len(at),
            "votes": votes + more,
            "share": (votes + more) / everybody if everybody else None,
            "agreement": alike / compared if compared else None,
            "agreement_lower": lower if compared else None,
            "agreement_upper": upper if compared else None,
            "compared": compared,
            "gold_right": total("gold_right"),
            "gold_asked": total("gold_asked"),
            "left_share": total("left") / votes if votes else None,
            "left_lower": left_lower if votes else None,
            "left_upper": left_upper if votes else None,
            "both_good_share": total("both_good") / votes if votes else None,
            "both_bad_share": total("both_bad") / votes if votes else None,
        }


def voters(votes, ballots):
    """The Voters of checked votes; `ballots` are their agreement.Ballots. Compared are voters who were asked whatever
    others had chosen: who settles a disagreement disagrees more often than they would elsewhere. A voter who answered
    nothing but gold tasks is among them, with no votes."""
    ballots = ballots.chosen_by_nobody
    place = {name: code for code, name in enumerate(votes.voter.names)}
    answers = gold_counts(votes.gold_tasks)
    for name in answers:
        place.setdefault(name, len(place))
    known = votes.voter.codes >= 0
    code, winner = votes.voter.codes[known], votes.winner[known]

    def count(rows, weights=None):
        return np.bincount(rows, weights, len(place))

    shares = shares_of_others(ballots)
    compared = ~np.isnan(shares) & (ballots.voter < ballots.named)
    gold = np.zeros((len(place), 2), np.int64)
    for name, counts in answers.items():
        gold[place[name]] = counts
    columns = {
        "votes": count(code),
        "both_good": count(code[winner == BOTH_GOOD]),
        "both_bad": count(code[winner == BOTH_BAD]),
        "left": count(code[winner == A_WINS]),
        "compared": count(ballots.voter[compared]),
        "alike": count(ballots.voter[compared], shares[compared]),
        "gold_right": gold[:, 0],
        "gold_asked": gold[:, 1],
    }
    ids, names = list(place), _names(votes, len(place))
    there = np.flatnonzero((columns["votes"] > 0) | (columns["gold_asked"] > 0)).tolist()
    order = sorted(there, key=lambda at: (-columns["votes"][at], ids[at]))
    return Voters(
        tuple(ids[at] for at in order),
        tuple(names[at] for at in order),
        **{title: column[order] for title, column in columns.items()},
        nameless=int((~known).sum()),
    )


def _names(votes, count):
    """Each voter's name where their latest vote shows one, else None."""
    rows = np.flatnonzero(votes.voter.codes >= 0)
    latest = np.full(count, -1, np.int64)
    latest[votes.voter.codes[rows]] = rows  # votes are oldest first: the last one written stays
    signed_in = np.array([name == "true" for name in votes.signed_in.names] + [False])[votes.signed_in.codes]
    shown = [None] * count
    for voter in np.flatnonzero(latest >= 0).tolist():
        row = latest[voter]
        if signed_in[row] and votes.voter_name.codes[row] >= 0:
            shown[voter] = votes.voter_name.names[votes.voter_name.codes[row]]
    return shown
