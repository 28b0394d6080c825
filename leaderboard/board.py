"""Owns the Leaderboard: standings, groups, pairs and notes of one source, and its JSON contract."""

import csv
import io
import zlib
from dataclasses import asdict, dataclass, field, fields

import numpy as np

from leaderboard import errors
from leaderboard.clusters import AUTO, capped, check_known
from leaderboard.columns import NO_TIME, iso
from leaderboard.fragility import first_place
from leaderboard.intervals import wilson
from leaderboard.later import Later
from leaderboard.notes import notes_of
from leaderboard.position import note, position
from leaderboard.ratings import METHODS
from leaderboard.sampling import AS_SERVED, weighed
from leaderboard.sampling import note as sampling_note
from leaderboard.standings import VOTE_FLOOR, Standing, table, verdicts
from leaderboard.tally import UNGROUPED, Pairs, group_of, tally

DEFAULT_METHOD = "bradley-terry"


@dataclass(frozen=True)
class Source:
    """What was read: rows, how many count, what was left out by reason, and when the first and last were cast."""

    votes: int
    counted: int
    left_out: dict
    models: int
    voters: int
    first: str | None
    last: str | None
    revision: str | None


@dataclass(frozen=True)
class Group:
    """One category (or sub-category, or complexity): its votes, its own standings, who leads."""

    votes: int
    standings: tuple
    verdict: str


@dataclass(frozen=True)
class Pair:
    """Two models head to head: how often they met, the share that model_a took (half of each draw), its 95%
    Wilson interval."""

    model_a: str
    model_b: str
    votes: int
    win_rate_a: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Leaderboard:
    """Everything that is shown of one source of votes. `by` says what the groups are; `models` holds what the
    app knows of a model: id -> {"name", "organisation", "licence", "demo"}, all optional."""

    source: Source
    method: str
    standings: tuple
    groups: dict
    pairs: tuple = Later()
    notes: tuple = Later()
    by: str = "category"
    models: dict = field(default_factory=dict)

    def name(self, model):
        """The name to show for a model's id."""
        return str(self.models.get(model, {}).get("name") or model)

    def to_json(self):
        """The published contract as plain dicts and lists: models by id, floats rounded to 6 decimals, no NaN."""
        return _plain(
            {
                "source": asdict(self.source),
                "method": self.method,
                "standings": [asdict(row) for row in self.standings],
                "categories": {
                    name: {
                        "votes": group.votes,
                        "standings": [asdict(row) for row in group.standings],
                        "verdict": group.verdict,
                    }
                    for name, group in self.groups.items()
                },
                "pairs": [asdict(pair) for pair in self.pairs],
                "notes": list(self.notes),
            }
        )

    def to_csv(self):
        """The standings alone as CSV text: a row a model, the contract's columns, an empty cell for null."""
        out = io.StringIO()
        writer = csv.DictWriter(out, [part.name for part in fields(Standing)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.to_json()["standings"])
        return out.getvalue()


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return round(value, 6) + 0.0 if isinstance(value, float) else value


def build(
    votes,
    method=DEFAULT_METHOD,
    seed=0,
    by="category",
    models=None,
    clusters=AUTO,
    voter_cap=None,
    sampling=AS_SERVED,
):
    """Compute the Leaderboard of checked Votes; the same votes, method and seed give the same one.

    `clusters` says which votes are taken together (see leaderboard.clusters), `voter_cap` the most votes that one
    voter weighs, `sampling` whether votes weigh 1 / pair_probability (see leaderboard.sampling). Raises
    errors.UnknownChoice for a method, grouping, clustering or sampling that is in no table or can't be had.
    """
    if method not in METHODS:
        raise errors.UnknownChoice(f"no method is called {method!r}; known are {', '.join(METHODS)}")
    check_known(votes, clusters, voter_cap)
    served = votes
    votes = capped(weighed(votes, sampling, method), voter_cap)
    counts = tally(votes, by)
    names, codes = group_of(votes, by)
    overall = Pairs.of(counts.total())
    whole = table(votes, overall, method, np.random.default_rng(seed), clusters=clusters)
    tables = {}
    if names != (UNGROUPED,):
        for at, (name, part) in enumerate(zip(names, votes.split(codes, len(names)), strict=True)):
            if counts.counts[at].any():
                rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
                pairs = Pairs.of(counts.counts[at])
                tables[name] = table(part, pairs, method, rng, clusters=clusters)
    verdict = verdicts(tables)
    groups = {
        name: Group(int(counts.counts[at].sum()), tables[name].rows, verdict[name])
        for at, name in enumerate(names)
        if name in tables
    }
    source = _source(votes)
    return Leaderboard(
        source,
        method,
        whole.rows,
        groups,
        lambda: _pairs(whole.rows, overall, votes.models),
        lambda: _notes(
            votes,
            counts.total(),
            whole,
            method,
            by,
            groups,
            clusters,
            sampling_note(served, sampling, method, seed, clusters, voter_cap),
        ),
        by,
        dict(models or {}),
    )


def _notes(votes, counts, whole, method, by, groups, clusters, sampled):
    """The notes, with a fit of the side effect and the search of what first place hangs on, which take their time."""
    weighted = None if votes.weight is None else Pairs.of(tally(votes, weighted=True).total())
    pairs, first = Pairs.of(counts), None
    if method == DEFAULT_METHOD:
        first = first_place(pairs, votes.models, pairs.battles.sum(axis=1) >= VOTE_FLOOR, weighted)
    side = note(position(votes, counts, clusters))
    return notes_of(votes, whole, method, by, groups, side, first, sampled)


def _source(votes):
    timed = votes.created_at if votes.created_at.strides != (0,) else votes.created_at[:1]  # one moment for all
    timed = timed[timed != NO_TIME]
    return Source(
        votes.total,
        len(votes),
        dict(votes.left_out),
        len(votes.models),
        len(votes.voter.present()),
        iso(timed.min()) if len(timed) else None,
        iso(timed.max()) if len(timed) else None,
        votes.revision,
    )


def _pairs(rows, pairs, models):
    """Pairs that met, in the order of the standings."""
    place = {model: at for at, model in enumerate(models)}
    order = [place[row.model] for row in rows]
    battles = pairs.battles[np.ix_(order, order)]
    first, second = np.nonzero(np.triu(battles, 1))
    met, score = battles[first, second], pairs.score[np.ix_(order, order)][first, second]
    found = []
    for a, b, votes, part in zip(first.tolist(), second.tolist(), met.tolist(), score.tolist(), strict=True):
        found.append(Pair(rows[a].model, rows[b].model, int(votes), part / votes, *wilson(part, votes)))
    return tuple(found)
