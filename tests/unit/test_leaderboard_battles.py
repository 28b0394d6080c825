"""The battles behind a number: exactly those that it counts, and nobody's identity."""

import json

import numpy as np
import pytest

from leaderboard.battles import PAGE, battles, matching
from leaderboard.errors import UnknownChoice
from leaderboard.page import Pages
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import row, simulated


@pytest.fixture(scope="module")
def study():
    rows = simulated(600)
    for number, vote in enumerate(rows):
        vote |= {
            "prompt": f"a prompt {number}",
            "image_a": f"a{number}",
            "image_b": f"b{number}",
            "voter": "secret-voter",
        }
    return Study(votes_from_rows(rows), models={"m0": {"name": "Model Zero"}})


def test_a_row_of_any_sheet_opens_as_many_battles_as_it_counts(study):
    """The selections that the sheets carry mean what their counts say."""
    checked = 0
    for name in ("standings", "categories", "pairs", "verdicts"):
        for line in SHEETS[name](study).rows:
            assert len(matching(study.votes, line["battles"])) == line["votes"], (name, line)
            checked += 1
            for winner, key in (("model_a", "wins"), ("model_b", "losses"), ("both_good",) * 2, ("both_bad",) * 2):
                if key in line:
                    assert len(matching(study.votes, line["battles"] | {"winner": winner})) == line[key]
    assert checked > 30


def test_a_pair_is_the_same_from_both_sides(study):
    one = matching(study.votes, {"model_a": "m0", "model_b": "m3"})
    assert np.array_equal(one, matching(study.votes, {"model_a": "m3", "model_b": "m0"})) and len(one)
    won = matching(study.votes, {"model_a": "m0", "model_b": "m3", "winner": "model_a"})
    assert np.array_equal(won, matching(study.votes, {"model_a": "m3", "model_b": "m0", "winner": "model_b"}))


def test_pages_of_battles_are_the_newest_first_and_complete(study):
    found, start = [], 0
    while True:
        look = battles(study, {"model_a": "m0"}, start)
        found += look["rows"]
        start += PAGE
        if start >= look["total"]:
            break
    assert len(found) == look["total"] and [line["when"] for line in found] == sorted(
        (line["when"] for line in found), reverse=True
    )
    assert all(line["a"]["model"] == "m0" for line in found), "what was chosen stands first"
    for line in found:
        if line["won"]:
            winner = line[line["won"]]["model"]
            assert line["outcome"] == f"{study.name(winner)} is better"
            assert line[line["won"]]["image"][1:] == line["prompt"].split()[-1]
        else:
            assert line["outcome"] in ("both good", "both bad")
    assert battles(study, {"model_a": "m0"}, 10**9)["rows"] == []


def test_no_voter_is_told(study):
    told = Pages(lambda: study).answer({"ask": "battles", "selection": {"model_a": "m0"}})
    assert "secret-voter" not in told and "vote_id" not in told and len(json.loads(told)["rows"]) == PAGE


def test_private_battles_show_neither_prompt_nor_pictures():
    class Shelf:
        def thumbnail(self, image):
            return b"RIFF" + image.encode()

    rows = [row("x", "y", "model_a", prompt="", image_a="private-a", image_b="private-b", created_at=1),
            row("x", "y", "model_b", prompt="open", image_a="open-a", image_b="open-b", created_at=2)]  # fmt: skip
    found = json.loads(
        Pages(lambda: Study(votes_from_rows(rows), pictures=Shelf())).answer({"ask": "battles", "selection": {}})
    )
    assert [line["prompt"] for line in found["rows"]] == ["open", None]
    assert set(found["pictures"]) == {"open-a", "open-b"} and "private" not in json.dumps(found)
    assert found["pictures"]["open-a"].startswith("data:image/webp;base64,")


def test_what_is_not_there_matches_nothing_and_what_is_not_known_is_refused(study):
    assert battles(study, {"model_a": "nobody"})["total"] == 0
    assert battles(study, {"category": "nothing"})["total"] == 0
    for wrong in ({"voter": "secret-voter"}, {"winner": "left"}):
        with pytest.raises(UnknownChoice):
            battles(study, wrong)
