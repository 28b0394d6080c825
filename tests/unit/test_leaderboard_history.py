"""Standings over time: every point is the board of the votes until then, and the last one is the board itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.board import build
from leaderboard.history import DAY, MINUTE, POINTS, at, history, moments_of, times, until
from leaderboard.sheets.history import history as sheet
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import START, battles, row, simulated


def spread_out(days, votes=900):
    rows = simulated(votes=votes, models=5)
    for number, one in enumerate(rows):
        one["created_at"] = START + number * days * DAY // votes
    return rows


def test_every_point_is_the_board_of_the_votes_until_then():
    rows = spread_out(days=20)
    votes = votes_from_rows(rows)
    found = history(votes)
    assert 20 <= len(found.moments) <= 22 and found.step == DAY and found.untimed == 0
    for moment, ranked in [*zip(found.moments, found.tables, strict=True)][::5]:
        before = build(votes_from_rows([r for r in rows if r["created_at"] <= moment]))
        assert [(r.model, r.rank, r.votes) for r in ranked.rows] == [
            (r.model, r.rank, r.votes) for r in before.standings
        ]
        for ours, theirs in zip(ranked.rows, before.standings, strict=True):
            for name in ("rating", "rating_lower", "rating_upper"):
                assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-9)
    assert found.tables[-1].rows == build(votes).standings
    assert found.moments[-1] == votes.created_at[-1]


def test_the_standings_at_a_moment():
    votes = votes_from_rows(spread_out(days=10))
    found = history(votes)
    assert at(votes, found.moments[4]).rows == found.tables[4].rows
    assert at(votes, START - 1).rows == () and len(until(votes, START - 1)) == 0
    assert len(until(votes, START)) == 1
    chosen = history(votes, moments=[START - 1, START + 5 * DAY])
    assert chosen.tables[0].rows == () and sum(r.votes for r in chosen.tables[1].rows) == 2 * len(
        until(votes, START + 5 * DAY)
    )


def test_a_model_has_a_history_from_its_first_vote_on():
    early = battles("x", "y", wins=30, losses=20, created_at=START)
    late = battles("new", "y", wins=15, losses=15, created_at=START + 9 * DAY)
    found = history(votes_from_rows(early + late))
    assert len(found.of("x")) == len(found.moments) and [moment for moment, _ in found.of("new")] == [START + 9 * DAY]
    assert found.tables[0] is found.tables[5], "a period without votes changes nothing"


@given(st.integers(1, 12).flatmap(lambda power: st.integers(1, 10**power)), st.integers(-(10**9), 10**12))
@settings(max_examples=80, deadline=None)
def test_periods_are_few_and_cover_the_votes(span, first):
    moments = [first, first + span // 3, first + span]
    votes = votes_from_rows([row("x", "y", "model_a", created_at=moment) for moment in moments])
    chosen, step = moments_of(votes)
    assert 1 <= len(chosen) <= POINTS and chosen[-1] == first + span and chosen == sorted(set(chosen))
    assert chosen[0] >= first and (np.diff(chosen) <= step).all() and step >= MINUTE
    assert step == MINUTE or len(chosen) >= 3


def test_days_and_weeks_end_where_a_calendar_says():
    day = history(votes_from_rows(spread_out(days=20)))
    assert day.dates()[0] == "2026-09-21" and day.dates()[1] == "2026-09-22"
    week = history(votes_from_rows(spread_out(days=100)))
    assert week.step == 7 * DAY and week.dates()[:2] == ("2026-09-27", "2026-10-04"), "Sundays"
    minutes = history(votes_from_rows(simulated(votes=200, models=3)))
    assert minutes.step == MINUTE and minutes.dates()[0].endswith(":59Z")


def test_votes_without_a_time_count_with_the_one_before_and_are_said():
    rows = spread_out(days=10, votes=600)
    for one in rows[100:160]:
        one["created_at"] = None
    votes = votes_from_rows(rows)
    assert (np.diff(times(votes)) >= 0).all()
    study = Study(votes)
    assert study.history.untimed == 60 and study.history.tables[-1].rows == study.board.standings
    table = sheet(study)
    assert table.notes[0].startswith("60 votes have no time") and table.rows[-1]["date"] == study.history.dates()[-1]
    assert {column.key for column in table.columns} == set(table.rows[0])


def test_without_any_time_there_is_no_history():
    study = Study(votes_from_rows(battles("x", "y", wins=3, losses=2)))
    assert study.history.moments == () and sheet(study).rows == ()
    assert sheet(study).notes == ("No vote has a time, so there is nothing to show over time.",)
    assert sheet(Study(votes_from_rows([]))).notes == ()


def test_elo_gives_way_to_bradley_terry():
    study = Study(votes_from_rows(spread_out(days=3, votes=200)), method="elo")
    assert study.history.method == "bradley-terry" and "elo" in sheet(study).notes[0]


def test_it_follows_the_boards_options():
    study = Study(votes_from_rows(spread_out(days=10)), clusters="voter", voter_cap=5)
    assert study.history.tables[-1].rows == study.board.standings
    free = Study(study.votes).history.tables[-1].rows
    assert [row.rating for row in free] != [row.rating for row in study.board.standings]
