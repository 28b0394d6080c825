"""Where votes meet the board: the ticker and the leaderboard follow the ledger."""

from __future__ import annotations

import random
import threading

import pytest

from arena.config import load_config
from leaderboard.ratings import elo_online
from leaderboard.votes import votes_from_rows
from standings import Standings

MODELS = ("a", "b", "c", "d")
WINNERS = ("model_a", "model_b", "both_good", "both_bad")


class Ledger:
    """Votes and exclusions in memory, as the real one publishes them."""

    def __init__(self):
        self.votes, self.exclusions = [], []

    def vote(self, rng: random.Random, mode: str = "anonymous") -> dict:
        model_a, model_b = rng.sample(MODELS, 2)
        n = len(self.votes) + 1
        row = {"vote_id": f"v{n:05}", "model_a": model_a, "model_b": model_b, "winner": rng.choice(WINNERS), "mode": mode,
               "created_at": 1_700_000_000_000 + n, "category": "Anime", "voter": f"u{n % 7}", "prompt_id": f"p{n % 5}"}  # fmt: skip
        self.votes.append((n, row))
        return row

    def exclude(self, vote_id: str, reason: str = "withdrawn") -> None:
        n = len(self.exclusions) + 1
        self.exclusions.append((n, {"vote_id": vote_id, "reason": reason, "created_at": 1_800_000_000_000 + n}))

    def votes_after(self, seq: int) -> list:
        return self.votes[seq:]

    def exclusions_after(self, seq: int) -> list:
        return self.exclusions[seq:]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def standings(ledger, tmp_path, arena_yaml) -> Standings:
    found = Standings()
    found.follow(ledger, load_config(arena_yaml(tmp_path / "arena.yaml")))
    return found


def ratings(ledger: Ledger) -> dict[str, float]:
    counted = votes_from_rows([row for _, row in ledger.votes], [row for _, row in ledger.exclusions])
    return dict(zip(counted.models, elo_online(counted), strict=True))


def test_ticker_is_the_boards_elo_at_every_vote(ledger, standings):
    rng, after = random.Random(1), {}
    for _ in range(200):
        row = ledger.vote(rng)
        change = standings.ticker(row)
        for side in "ab":
            assert change[side]["before"] == after.get(row[f"model_{side}"], 1000.0)
            after[row[f"model_{side}"]] = change[side]["after"]
    assert after == pytest.approx(ratings(ledger), abs=1e-9)


def test_a_vote_taken_back_gives_its_points_back(ledger, standings):
    rng = random.Random(2)
    for _ in range(300):
        standings.ticker(ledger.vote(rng))
    last = ledger.vote(rng)
    before = standings.ticker(last)
    ledger.exclude(last["vote_id"])
    standings.ticker(last)
    assert standings._elo.ratings[last["model_a"]] == pytest.approx(before["a"]["before"])
    ledger.exclude("v00010")
    ledger.exclude("v00020")
    ledger.exclude("v00020", "restored")
    ledger.exclude("never-cast")
    standings.ticker(last)
    assert standings._elo.ratings == pytest.approx(ratings(ledger), abs=1e-6)
    assert standings.board().source.counted == 299


def test_board_follows_and_is_the_command_lines(ledger, standings):
    rng = random.Random(3)
    assert standings.board().source.votes == 0
    for _ in range(50):
        ledger.vote(rng)
    board = standings.board()
    assert board.source.votes == 50 and board is standings.board()
    elo = {row.model: row.elo for row in board.standings}
    change = standings.ticker(ledger.vote(rng))
    assert elo == pytest.approx({**standings._elo.ratings, **_before(ledger.votes[-1][1], change)}, abs=1e-6)


def _before(row: dict, change: dict) -> dict[str, float]:
    return {row[f"model_{side}"]: change[side]["before"] for side in "ab"}


def test_only_anonymous_votes_move_the_ticker(ledger, standings):
    assert standings.ticker(ledger.vote(random.Random(4), mode="named")) is None
    assert standings._elo.ratings == {}


def test_many_threads_get_each_their_own_change(ledger, standings):
    rng, lock, seen = random.Random(5), threading.Lock(), []

    def cast() -> None:
        for _ in range(50):
            with lock:
                row = ledger.vote(rng)
            seen.append((row["vote_id"], standings.ticker(row)))

    threads = [threading.Thread(target=cast) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 400 and all(change for _, change in seen)
    assert standings._elo.ratings == pytest.approx(ratings(ledger), abs=1e-9)


def test_fault_of_the_board_does_not_fail_the_vote(ledger, standings, caplog):
    row = ledger.vote(random.Random(6))
    row["winner"] = "somebody"
    assert standings.ticker(row) is None
    assert "could not take in a vote" in caplog.text
