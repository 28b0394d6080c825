"""Where votes meet the board: the ticker and the leaderboard follow the ledger."""

from __future__ import annotations

import random
import threading
import time

import pytest

from arena.config import load_config
from leaderboard.errors import BadFeedback
from leaderboard.feedback import feedback_from_rows
from leaderboard.ratings import elo_online
from leaderboard.ticker import Ticker
from leaderboard.votes import votes_from_rows
from standings import Standings
from tests.hub.small_arena import SmallArena, config

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
               "created_at": 1_700_000_000_000 + n, "extra": "{}", "category": "Anime", "voter": f"u{n % 7}", "prompt_id": f"p{n % 5}"}  # fmt: skip
        self.votes.append((n, row))
        return row

    def exclude(self, vote_id: str, reason: str = "withdrawn") -> None:
        n = len(self.exclusions) + 1
        self.exclusions.append((n, {"vote_id": vote_id, "reason": reason, "created_at": 1_800_000_000_000 + n}))

    def vote_columns(self, seq: int, columns, limit) -> tuple:
        rows = self.votes[seq:][:limit]
        known = [name for name in columns if not self.votes or name in self.votes[0][1]]
        return [n for n, _ in rows], {name: [row[name] for _, row in rows] for name in known}

    def votes_with_feedback(self, columns) -> list:
        return []

    def exclusions_after(self, seq: int) -> list:
        return self.exclusions[seq:]

    def last(self, table: str) -> int:
        return {"votes": len(self.votes), "exclusions": len(self.exclusions)}.get(table, 0)


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


def test_an_exclusion_that_comes_before_its_vote_counts(ledger, standings):
    """As another replica's may."""
    rng = random.Random(3)
    for n in (5, 6, 40):
        ledger.exclude(f"v{n:05}")
    ledger.exclude("v00006", "restored")
    for _ in range(50):
        standings.ticker(ledger.vote(rng))
    standings.ticker(None)
    assert standings._elo.ratings == pytest.approx(ratings(ledger), abs=1e-9)


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


def test_study_is_one_until_a_vote_comes_and_knows_the_models(ledger, standings):
    rng = random.Random(7)
    for _ in range(30):
        ledger.vote(rng)
    study = standings.study()
    assert study is standings.study() and study.board is standings.board() and study.pictures is None
    assert study.history.tables[-1].rows == study.board.standings
    known = next(iter(study.models.values()))
    assert set(known) == {"name", "organisation", "family", "licence", "parameters_b", "memory_gb", "demo"}
    ledger.vote(rng)
    assert standings.study() is not study


def test_images_of_the_bank_are_shown_as_they_are_made_but_never_private_ones(tmp_path):
    arena = SmallArena(tmp_path)
    standings = Standings()
    standings.follow(arena.ledger, config(), arena.bank)
    arena.vote(3)
    study = standings.study()
    made = [image for images in arena.images.values() for image in images]
    pictures = study.pictures
    assert [p.image_id for p in pictures.all()] == [image.image_id for image in made]
    assert pictures.data(made[0].image_id) == arena.bank.read(made[0].image_id)
    assert (pictures.picture(made[0].image_id).seconds, pictures.picture(made[0].image_id).hardware) == (0.25, "cpu")
    secret = arena.draw(arena.prompts[0], "tiny-secret", private=True)
    later = arena.draw(arena.prompts[0], "tiny-three")
    assert pictures.data(secret.image_id) is None and pictures.thumbnail(secret.image_id) is None
    assert pictures.thumbnail(later.image_id)[:4] == b"RIFF" and len(pictures) == len(made) + 1
    arena.bank.remove(later.image_id)
    assert pictures.data(later.image_id) is None and pictures.data("never") is None
    assert study.speed.hardware == "cpu" and {row.images for row in study.speed.rows} == {2}
    arena.vote(1)
    assert standings.study().pictures is pictures, "what was measured and shrunk is kept"


def test_the_probabilities_of_the_pairs_come_with_the_ledgers_votes(tmp_path):
    arena, standings = SmallArena(tmp_path), Standings()
    standings.follow(arena.ledger, config(), arena.bank)
    arena.vote(3)
    drawn = standings.study().sampled.drawn
    assert (drawn.known, drawn.lowest, drawn.highest) == (3, 1.0, 1.0)
    arena.vote(2)
    assert standings.study().sampled.drawn.known == 5
    assert not any("pair_probability" in note for note in standings.board().notes), "all alike"


def test_feedback_is_in_the_study_as_soon_as_it_is_given(tmp_path):
    arena, standings = SmallArena(tmp_path), Standings()
    standings.follow(arena.ledger, config(), arena.bank)
    (first,) = arena.vote(1)
    before = standings.study()
    assert len(before.rich) == 0 and standings.study() is before
    arena.say(first, "a", style=2, misaligned_words=[0])
    study = standings.study()
    assert study is not before and standings.study() is study and len(study.rich) == 1
    assert study.rich.image(first.image_a).scores["style"].mean == 2.0
    assert study.rich.image(first.image_a).words[0].marked == 1
    assert study.rich.size(first.image_a) == (32, 24), "from the bank"


def test_nobody_waits_for_much_feedback_to_be_read_again(tmp_path, monkeypatch):
    arena, standings, go = SmallArena(tmp_path), Standings(), threading.Event()
    standings.follow(arena.ledger, config(), arena.bank)
    (first,) = arena.vote(1)
    arena.say(first, "a", style=2)
    assert len(standings.study().rich) == 1
    quick = feedback_from_rows

    def slow(*args, **more):
        go.wait(120)
        return quick(*args, **more)

    monkeypatch.setattr("standings.feedback_from_rows", slow)
    monkeypatch.setattr("standings.IDLE", 0.0)
    standings._heard._next = 0.0
    arena.say(first, "b", style=4)
    begun = time.monotonic()
    assert len(standings.study().rich) == 1 and len(standings.study().rich) == 1, "what was heard before"
    assert time.monotonic() - begun < 60.0
    go.set()
    while len(standings.study().rich) == 1:
        assert time.monotonic() - begun < 180.0
        time.sleep(0.01)
    assert len(standings.study().rich) == 2


def test_feedback_that_cannot_be_read_is_said_and_read_again(tmp_path, monkeypatch):
    arena, standings = SmallArena(tmp_path), Standings()
    standings.follow(arena.ledger, config(), arena.bank)
    (first,) = arena.vote(1)
    arena.say(first, "a", style=2)
    quick = feedback_from_rows

    def bad(*args, **more):
        raise BadFeedback("ledger, feedback: wrong")

    monkeypatch.setattr("standings.feedback_from_rows", bad)
    study = standings.study()
    with pytest.raises(BadFeedback):
        assert study.rich
    monkeypatch.setattr("standings.feedback_from_rows", quick)
    assert len(study.rich) == 1, "a reader's question is enough"


def test_many_votes_are_taken_in_some_at_a_time(ledger, tmp_path, arena_yaml, monkeypatch):
    monkeypatch.setattr("standings.AT_ONCE", 7)
    rng, asked, vote_columns = random.Random(4), [], ledger.vote_columns

    def watched(seq, columns, limit):
        asked.append(limit)
        return vote_columns(seq, columns, limit)

    for _ in range(45):
        ledger.vote(rng)
    for vote_id in ("v00003", "v00044", "v00060"):
        ledger.exclude(vote_id)
    ledger.vote_columns = watched
    found = Standings()
    found.follow(ledger, load_config(arena_yaml(tmp_path / "arena.yaml")))
    for _ in range(20):
        ledger.vote(rng)
    assert found.board().source.counted == 62 and found.ticker(None) is None
    assert found._elo.ratings == pytest.approx(ratings(ledger), abs=1e-9)
    assert set(asked) == {7} and len(asked) > 15


def test_a_backlog_is_counted_in_the_background_and_nobody_waits_for_it(ledger, tmp_path, arena_yaml, monkeypatch):
    monkeypatch.setattr("standings.AT_ONCE", 20)
    rng, go, threads, vote_columns = random.Random(8), threading.Event(), [], ledger.vote_columns
    for _ in range(200):
        ledger.vote(rng)
    ledger.exclude("v00150")

    def held(seq, columns, limit):
        if threading.current_thread().name == "ticker":
            threads.append(seq)
            assert go.wait(30)
        return vote_columns(seq, columns, limit)

    ledger.vote_columns = held
    found = Standings()
    found.follow(ledger, load_config(arena_yaml(tmp_path / "arena.yaml")))
    assert found.ticker(ledger.vote(rng)) is None, "it is not known yet"
    go.set()
    found.ticker(None)
    change = found.ticker(ledger.vote(rng))
    assert change["a"]["after"] == found._elo.ratings[ledger.votes[-1][1]["model_a"]]
    assert threads and found._elo.ratings == pytest.approx(ratings(ledger), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_tickers_marks_and_rests_change_nothing(seed, monkeypatch):
    """Votes come in lots, are counted little by little, and are taken back and restored at any place."""
    monkeypatch.setattr("leaderboard.ticker.MARK", 8)
    monkeypatch.setattr("leaderboard.ticker.REMEMBERED", 10)
    rng, ledger, ticker = random.Random(seed), Ledger(), Ticker()
    for _ in range(60):
        rows = [ledger.vote(rng) for _ in range(rng.randrange(12))]
        ids = [f"v{rng.randrange(1, len(ledger.votes) + 20):05}" for _ in range(rng.choice((0, 0, 1, 12)))]
        before = len(ledger.exclusions)
        for vote_id in ids:
            ledger.exclude(vote_id, rng.choice(("withdrawn", "restored")))
        ticker.exclude([row for _, row in ledger.exclusions[before:]])
        ticker.add(*([row[name] for row in rows] for name in ("vote_id", "model_a", "model_b", "winner")))
        ticker.count(rng.randrange(15))
    while ticker.behind:
        ticker.count(7)
    assert ticker.ratings == pytest.approx(ratings(ledger), abs=1e-12)
    last = ledger.votes[-1][1]
    assert ticker.change(last["vote_id"])["b"]["after"] == ticker.ratings[last["model_b"]]
    assert ticker.change("v00001") is None, "long ago"
