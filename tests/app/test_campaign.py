"""A campaign over HTTP: the same payloads for every battle, answers put right, progress; and what becomes of the rows."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image as pictures

from arena.__main__ import main
from arena.ledger import Ledger
from leaderboard import rich
from tests.app.conftest import SECRET_WORDS
from tests.noon import at_noon

SAID = {"style": 4, "alignment": 4, "misaligned_words": []}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("gold"), np.random.default_rng(5)
    for k in range(4):
        pictures.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / f"{k}.png")
    return folder


def tasks(folder) -> list[dict]:
    about = {"prompt": "anime: a red moon", "category": "Anime", "why": "Count the moons."}
    return [{"kind": "battle", "images": [str(folder / "0.png"), str(folder / "1.png")], "winner": "first", **about},
            {"kind": "words", "image": str(folder / "2.png"), "beside": str(folder / "3.png"), "missed": ["moon"],
             "may": ["a"], **about}]  # fmt: skip


CAMPAIGN = {"title": "Moons", "asks": ["style", "alignment", "words"], "target": 10, "feedback": "required"}


@pytest.fixture(scope="module")
def labelling(launch, folder):
    guidelines = [{"text": "Look.", "examples": [{"text": "Like this.", "good": str(folder / "0.png")}]}]
    served = launch(
        campaign={**CAMPAIGN, "guidelines": guidelines}, gold={"first": 2, "every": 2, "tasks": tasks(folder)}
    )
    at_noon(served.arena.ledger)
    return served


def task_of(arena, battle_id: str):
    row = arena.ledger.one("SELECT gold FROM battles WHERE battle_id = ?", battle_id)
    return arena.gold.tasks().get(row["gold"]) if row["gold"] else None


def answer(visitor, arena, battle, *, wrong: bool = False) -> list:
    """Vote and say; what was answered."""
    task, held = task_of(arena, battle["battle_id"]), arena.ledger.battle(battle["battle_id"])
    winner = task.outcome(held) if task and task.outcome(held) != "any" else "model_a"
    answers = []
    if wrong and task.row.kind == "battle":
        answers.append(visitor.vote(battle, "both_bad"))
    answers.append(visitor.vote(battle, winner))
    for side in ("a", "b"):
        body = {"battle_id": battle["battle_id"], "side": side, **SAID}
        if task and task.needs and task.side(held) == side:
            if wrong:
                answers.append(visitor.post("/arena/feedback", body))
            body["misaligned_words"] = [3]
        answers.append(visitor.post("/arena/feedback", body))
    return answers


def test_a_known_task_looks_like_any_other_until_it_is_answered(labelling, visit):
    """Bodies with the same keys, pictures of one length with the same headers, fresh names; nothing says gold."""
    arena, seen = labelling.arena, {True: [], False: []}
    for k in range(60):
        if k >= 6 and len(seen[False]) >= 3:  # after the first two of each visitor, chance decides which kind comes
            break
        visitor = visit(labelling.url)
        for _ in range(4):
            came = visitor.post("/arena/next")
            battle = came.json()["battle"]
            shown = [visitor.http.get(battle[side]) for side in ("image_a", "image_b")]
            gold = task_of(arena, battle["battle_id"]) is not None
            for one in (came, *shown):
                sent = repr(one.headers).encode() + one.content
                assert not re.search(rb"gold|owed|known|" + "|".join(SECRET_WORDS).encode(), sent), sent[:400]
            alike = [{k: v for k, v in one.headers.items() if k != "date"} for one in shown]
            assert alike[0] == alike[1], "one length, the same headers"
            seen[gold].append((battle, set(came.headers), set(alike[0])))
            answer(visitor, arena, battle)
    assert len(seen[True]) >= 12 and len(seen[False]) >= 3
    shapes = {
        kind: {(frozenset(battle), frozenset(a), frozenset(b)) for battle, a, b in rows} for kind, rows in seen.items()
    }
    assert shapes[True] == shapes[False] and len(shapes[True]) == 1
    rows = [battle for kind in seen for battle, _, _ in seen[kind]]
    for key in ("served_from", "complexity", "sub_category", "hint"):
        assert {b[key] for b, _, _ in seen[True]} <= {b[key] for b, _, _ in seen[False]}, key
    names = [battle[side] for battle in rows for side in ("image_a", "image_b")]
    assert len(set(names)) == len(names), "no picture has the same name twice"
    assert all(re.fullmatch(r"[0-9a-f]{32}", battle["battle_id"]) for battle in rows)


def test_right_answers_to_later_tasks_are_answered_like_any_other(labelling, visit):
    visitor, arena = visit(labelling.url), labelling.arena
    shapes: dict[bool, set] = {True: set(), False: set()}
    for k in range(40):
        if k >= 14 and shapes[True] and shapes[False]:  # after the first two, chance decides which kind comes
            break
        battle = visitor.next()
        gold, practising = task_of(arena, battle["battle_id"]) is not None, arena.gold.practising(arena_voter(visitor))
        got = answer(visitor, arena, battle)
        assert [one.status_code for one in got] == [200] * len(got)
        if practising:
            assert any("practice" in one.text for one in got)
        else:
            shapes[gold].add(tuple(frozenset(one.json()) for one in got))
    assert shapes[True] == shapes[False] and len(shapes[True]) == 1


def arena_voter(visitor) -> str:
    return visitor.http.get("/arena/me").json()["voter"]


def test_a_wrong_answer_is_explained_and_put_right(labelling, visit):
    visitor, arena = visit(labelling.url), labelling.arena
    for k in range(2):
        battle = visitor.next()
        got = answer(visitor, arena, battle, wrong=True)
        refused = [one for one in got if one.status_code != 200]
        words = task_of(arena, battle["battle_id"]).row.kind == "words"
        wrong = {"code": "wrong_answer", "message": "Count the moons.", **({"about": "words"} if words else {})}
        assert [(one.status_code, one.json()["error"]) for one in refused] == [(409, wrong)]
        told = next(one.json()["check"] for one in got if "check" in one.json())
        assert told["tries"] == 2 and told["practice"] == {"done": k + 1, "of": 2}
        last = visitor.post("/arena/reveal", {"battle_id": battle["battle_id"]}).json()
        assert last == {"check": {"right": False}}, "there are no names to tell"
    while task_of(arena, (ahead := visitor.next())["battle_id"]):
        answer(visitor, arena, ahead)
    assert visitor.vote(ahead).json() == {"counted": True, "battle_id": ahead["battle_id"]}, "required: the names wait"
    again = visitor.post("/arena/next", {"after": ahead["battle_id"]}).json()["battle"]
    assert again["battle_id"] == ahead["battle_id"] and again["owed"] == {"winner": "model_a", "sides": ["a", "b"]}
    early = visitor.post("/arena/reveal", {"battle_id": ahead["battle_id"]})
    assert early.status_code == 409 and early.json()["error"]["code"] == "task_first"


def test_progress_is_told_to_each_their_own(labelling, visit):
    one, other = visit(labelling.url), visit(labelling.url)
    before = one.http.get("/arena/campaign").json()["campaign"]
    answer(one, labelling.arena, one.next())
    told = one.http.get("/arena/campaign").json()["campaign"]
    assert told["you"] == {"answers": 1, "today": 1} and other.http.get("/arena/campaign").json()["campaign"]["you"] == {
        "answers": 0, "today": 0}  # fmt: skip
    assert told["campaign"]["answers"] == before["campaign"]["answers"], (
        "a known task is none of the campaign's answers"
    )
    assert told["asked"]["criteria"] == ["style", "alignment"] and told["asked"]["points"] == "never"
    assert told["ranking"]["named"] == []
    meta = one.http.get("/arena/meta").json()["campaign"]
    picture = one.http.get(meta["guidelines"][0]["examples"][0]["good"])
    assert picture.status_code == 200 and picture.headers["content-type"] == "image/webp"
    assert one.http.get("/arena/guide/9").status_code == 404


def test_without_a_campaign_there_is_none(visitor):
    assert visitor.http.get("/arena/campaign").json() == {"campaign": None}
    assert visitor.http.get("/arena/meta").json()["campaign"] is None


def test_known_tasks_are_rows_like_others_and_no_results(launch, visit, folder, tmp_path, arena_yaml):
    """Sealed with their marks, left out of every board, trust made of them; gone when their voter is forgotten."""
    import pyarrow.parquet as pq

    served = launch(data_dir=tmp_path / "data", campaign=CAMPAIGN,
                    gold={"first": 2, "every": None, "tasks": tasks(folder)})  # fmt: skip
    visitor, arena = visit(served.url), served.arena
    for wrong in (True, True, False):
        answer(visitor, arena, visitor.next(), wrong=wrong)
    voter, study = arena_voter(visitor), served.standings.study()
    assert len(study.votes) == 1 and study.votes.left_out == {"gold": 2}
    found = rich.of(str(tmp_path / "data" / "ledger.sqlite"))
    assert found.trust[voter] < 0.9 and len(found) == 2
    assert arena.status()["votes"] == 3 and arena.ledger.counts()["images"] == len(arena.ledger.banked_images())
    served.close()
    rows = {
        table: pq.read_table(tmp_path / "data" / "dataset" / "data" / table).to_pylist()
        for table in ("votes", "feedback")
    }
    golds = sorted(json.loads(row["extra"]).get("gold", "") for row in rows["votes"])
    assert golds[0] == "" and golds[1] == "any" and golds[2] in ("model_a", "model_b")
    marks = [json.loads(row["extra"]).get("gold") for row in rows["feedback"]]
    assert marks.count(None) == 2 and marks.count(True) == 3 and sum(isinstance(m, dict) for m in marks) == 1
    assert not {row["prompt"] for row in rows["votes"]} & {""}
    file = arena_yaml(tmp_path / "arena.yaml", campaign=CAMPAIGN, gold={"tasks": tasks(folder)})
    assert main(["--config", str(file), "--data-dir", str(tmp_path / "data"), "forget", voter, "--yes"]) == 0
    ledger = Ledger(tmp_path / "data" / "ledger.sqlite")
    assert ledger.counts()["votes"] == ledger.counts()["feedback"] == 0
    assert ledger.one("SELECT COUNT(*) AS n FROM battles WHERE gold IS NOT NULL")["n"] == 0
    pictures_of = [row["image_id"] for row in ledger.all("SELECT image_id FROM images WHERE private = 1")]
    assert len(pictures_of) == 4 and all(arena.bank.has(image) for image in pictures_of), (
        "the tasks are not the voter's"
    )
    ledger.close()


def test_the_command_lists_what_voters_agree_on(launch, arena_yaml, tmp_path, capsys):
    import yaml

    served = launch(data_dir=tmp_path / "data", matchmaking={"overlap": {"voters": 3, "tie_break": None}},
                    categories=[{"name": "Anime", "prompts": [{"prompt": "a red moon"}]}])  # fmt: skip
    arena = served.arena
    for k in range(3):
        blind = arena.next_battle(f"voter-{k}")
        battle = arena.ledger.battle(blind.battle_id)
        best = min(battle.image_a.image_id, battle.image_b.image_id)
        arena.cast_vote(blind.battle_id, "model_a" if battle.image_a.image_id == best else "model_b", f"voter-{k}")
        arena.feedback.give(blind.battle_id, "a" if battle.image_a.image_id == best else "b", {"misaligned_words": [2]},
                            f"voter-{k}")  # fmt: skip
    given = ["--config", str(arena_yaml(tmp_path / "arena.yaml")), "--data-dir", str(tmp_path / "data"), "gold"]
    assert main(given) == 0
    out = capsys.readouterr().out.partition("\n")[2]  # after the server's own line
    rows = yaml.safe_load(out)
    assert [row["kind"] for row in rows] == ["battle", "words"] and "# 3 of 3 voters agree" in out
    assert rows[0]["winner"] == "first" and rows[0]["images"][0] == best
    assert rows[1]["image"] == best and rows[1]["missed"] == ["moon"]
    assert main([*given, "--kind", "words", "--voters", "4"]) == 1
    assert "nothing that 4 voters saw" in capsys.readouterr().err
    assert main([*given, "--agree", "0"]) == 2
