"""Further voters where the first ones of a pair disagree: how far that pulls ratings, agreement and trust, by known answers,
exact proportions and simulation; and what weighs nothing."""

import math

import numpy as np
import pytest

from leaderboard import errors
from leaderboard.agreement import ballots
from leaderboard.board import build
from leaderboard.ratings import SCALE, fit
from leaderboard.sampling import drawn, sampled, weighed
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.tally import Pairs
from leaderboard.trust import trust
from leaderboard.voters import voters
from leaderboard.votes import read_votes, votes_from_rows
from tests.leaderboard_rows import row

WON = {"A": "model_a", "B": "model_b", "=": "both_good", "x": "both_bad"}


def votes_on(*said, models=("x", "y"), **more):
    """Votes of (how many pairs of images, what their voters say in turn: A, B, = or x); every voter votes once. Of every
    other vote the sides are changed about."""
    turned, rows = {"model_a": "model_b", "model_b": "model_a"}, []
    for many, voices in said:
        for _ in range(many):
            pair = f"{''.join(models)}{len(rows)}"
            for voice in voices:
                at, winner = len(rows), WON[voice]
                one, other = models if at % 2 else models[::-1]
                rows.append(row(one, other, winner if at % 2 else turned.get(winner, winner), image_a=f"{pair}-{one}",
                                image_b=f"{pair}-{other}", voter=f"{pair}-{at}", created_at=at, **more))  # fmt: skip
    return rows


def lead(rows, sampling="as-served"):
    """How far x is above y."""
    rating = {line.model: line.rating for line in build(votes_from_rows(rows), sampling=sampling).standings}
    return rating["x"] - rating["y"]


def elo(share):
    return 400 * math.log10(share / (1 - share))


# x wins 80% of the battles of one half of the pairs and 50% of the other half's; every sequence as often as it comes.
EXACT = votes_on((320, "AA"), (20, "BB"), (64, "ABA"), (16, "ABB"), (64, "BAA"), (16, "BAB"),
                 (125, "AA"), (125, "BB"), (63, "ABA"), (62, "ABB"), (62, "BAA"), (63, "BAB"))  # fmt: skip


def test_of_exact_proportions_reweighted_is_the_truth_and_as_served_is_pulled_to_even():
    """A pair gets 2 + 2 p (1 - p) votes: 2.32 of the one half, 2.5 of the other."""
    assert lead(EXACT, "reweighted") == pytest.approx(elo(0.65), abs=1e-6)
    assert lead(EXACT) == pytest.approx(elo((0.8 * 2.32 + 0.5 * 2.5) / 4.82), abs=1e-6)
    (change,) = {abs(round(part.points, 6)) for part in sampled(votes_from_rows(EXACT)).changes.values()}
    assert 2 * change == pytest.approx(lead(EXACT, "reweighted") - lead(EXACT), abs=1e-5)


def test_where_all_pairs_are_alike_votes_as_served_are_right_too():
    """The likelihood does not know why there is a third vote."""
    alike = votes_on((320, "AA"), (20, "BB"), (64, "ABA"), (16, "ABB"), (64, "BAA"), (16, "BAB"))
    assert lead(alike) == pytest.approx(elo(0.8), abs=1e-6) and lead(alike, "reweighted") == pytest.approx(elo(0.8))


def test_who_settles_weighs_nothing_and_the_others_alike():
    rows = votes_on((12, "AA"), (10, "ABB"), (4, "A="), (5, "A=x"), (7, "B"))
    found = drawn(votes_from_rows(rows))
    assert (found.settling, found.asked, found.known) == (15, 2, 0)
    kept = len(rows) - 15
    assert sorted(set(found.weight.round(9))) == [0.0, round(len(rows) / kept, 9)]
    assert found.effective == pytest.approx(kept)
    assert found.weight.mean() == pytest.approx(1.0)


def test_the_weights_of_pairs_and_of_settling_votes_multiply():
    rows = votes_on((20, "AA"), (20, "ABB"), pair_probability=0.5) + votes_on(
        (20, "AA"), (20, "ABA"), models=("x", "z"), pair_probability=0.25
    )
    found = drawn(votes_from_rows(rows))
    assert (found.settling, found.known) == (40, 200)
    weight = sorted(set(found.weight.round(9)))
    assert weight[0] == 0 and weight[2] / weight[1] == pytest.approx(2.0) and found.weight.mean() == pytest.approx(1.0)


@pytest.mark.parametrize(("said", "anyway"), [
    ([(20, "AA"), (20, "AAB"), (20, "AB"), (20, "ABA")], None),  # a third voter comes whatever the first two said
    ([(20, "AA"), (20, "AB")], None),
    ([(20, "AA"), (20, "ABA")], 2),
    ([(20, "AA"), (20, "ABABA"), (3, "AB")], 2),  # some still wait
    ([(20, "AAA"), (20, "ABAAA"), (20, "AABBA")], 3),  # three, and two more where they are not all of one mind
    ([(20, "AAAA"), (20, "AAAB=")], 4),
    ([(3, "AA"), (3, "ABA")], None),  # too few to know
    ([(20, "ABA"), (20, "AAB")], None),
    ([], None),
])  # fmt: skip
def test_it_is_found_out_how_many_voters_came_anyway(said, anyway):
    found = ballots(votes_from_rows(votes_on(*said)))
    assert found.asked_anyway == anyway
    size = np.bincount(found.chosen_by_nobody.pair) if said else np.zeros(1)
    assert size.max() == (anyway or max((len(voices) for _, voices in said), default=0))


def test_the_agreement_of_three_voters_and_two_more_is_seen_through_too():
    """A third voter comes anyway, so it is the fourth and fifth who let all look alike."""
    random = np.random.default_rng(6)
    said = [(1, "".join("AB"[int(x)] for x in random.random(5) < even)) for even in random.beta(2, 2, 1500)]
    rows = votes_on(*((1, voices if len(set(voices[:3])) > 1 else voices[:3]) for _, voices in said))
    study = Study(votes_from_rows(rows))
    whole = study.agreement[0]
    assert whole.tie_break.found and whole.tie_break.voters == 3
    assert whole.agreement > 0.62 and whole.first.agreement == pytest.approx(0.6, abs=0.03)
    assert any("the first 3 disagreed: to 100%" in note for note in SHEETS["agreement"](study).notes)


def test_a_third_voter_who_comes_by_chance_is_seldom_taken_for_one_who_settles():
    random = np.random.default_rng(4)
    for _ in range(100):
        said = [(1, "".join(random.choice(["A", "B", "="], 3 if random.random() < 0.5 else 2))) for _ in range(80)]
        assert ballots(votes_from_rows(votes_on(*said))).asked_anyway is None


@pytest.mark.parametrize(("voters", "tie_break"), [(2, 3), (3, 5)])
def test_of_an_arenas_own_ledger_it_is_known_which_votes_settled(make_arena, fill, clock, tmp_path, voters, tie_break):
    """The arena's own rule, over all that it serves: every vote beyond the first `voters` of a pair weighs nothing."""
    things = [{"name": "Things", "prompts": [{"prompt": f"thing {at}"} for at in range(30)]}]
    overlap = {"voters": voters, "tie_break": tie_break, "lease_minutes": 30}
    arena = make_arena(matchmaking={"overlap": overlap}, limits={"votes_per_minute": 1e6}, categories=things)
    fill(arena)
    random, said = np.random.default_rng(1), {}
    for number in range(220):
        voter = f"u{number % 40}"
        battle = arena.next_battle(voter)
        stored = arena.ledger.battle(battle.battle_id)
        images = tuple(sorted((stored.image_a.image_id, stored.image_b.image_id)))
        first = random.random() < 0.7
        winner = "model_a" if (stored.image_a.image_id == images[0]) == first else "model_b"
        arena.cast_vote(battle.battle_id, winner, voter)
        said.setdefault(images, []).append(first)
        clock.now += 1
    found = drawn(read_votes(tmp_path / "ledger.sqlite"))
    late = sum(max(0, len(voices) - voters) for voices in said.values())
    assert found.asked == voters and found.settling == late > 10
    assert all(len(voices) <= voters or len(set(voices[:voters])) > 1 for voices in said.values())


# -- by simulation ------------------------------------------------------------------------------------------------


def arena(random, pairs, voters=2, tie_break=5, models=4, unlike=1.5):
    """(rows of votes on pairs of images that are unlike each other, served as an overlap serves them; the ratings [K]
    that all of these pairs alike would give)."""
    strength, rows = np.linspace(-0.7, 0.7, models), []
    share, every = np.zeros((models, models)), np.zeros((models, models))
    for pair in range(pairs):
        a, b = random.choice(models, 2, replace=False)
        chance = 1 / (1 + math.exp(strength[b] - strength[a] + random.normal(0, unlike)))
        said = [random.random() < chance for _ in range(tie_break)]
        share[a, b] += chance
        share[b, a] += 1 - chance
        for won in said if len(set(said[:voters])) > 1 else said[:voters]:
            rows.append(row(f"m{a}", f"m{b}", "model_a" if won else "model_b", image_a=f"{pair}-{a}", prompt_id=f"p{pair}",
                            image_b=f"{pair}-{b}", voter=f"u{len(rows)}", created_at=len(rows)))  # fmt: skip
    return rows, SCALE * fit(Pairs(share, every, every))


def test_reweighted_ratings_are_unbiased_and_their_intervals_hold_where_images_are_unlike():
    random, off, held = np.random.default_rng(9), {"as-served": [], "reweighted": []}, []
    for _ in range(25):
        rows, truth = arena(random, 500)
        for sampling, found in off.items():
            lines = sorted(build(votes_from_rows(rows), sampling=sampling).standings, key=lambda line: line.model)
            rating = np.array([line.rating for line in lines])
            found.append(rating[-1] - rating[0] - (truth[-1] - truth[0]))
            if sampling == "reweighted":
                size = np.array([line.votes for line in lines])
                held.append([line.rating_lower <= 1000 + part - truth @ size / size.sum() <= line.rating_upper
                             for line, part in zip(lines, truth, strict=True)])  # fmt: skip
    error = np.std(off["reweighted"], ddof=1) / 5
    assert abs(np.mean(off["reweighted"])) < 3 * error
    pull = np.subtract(off["as-served"], off["reweighted"])
    assert np.mean(pull) < -10 and np.mean(pull) < -4 * np.std(pull, ddof=1) / 5, "drawn together"
    assert np.mean(held) > 0.9


# -- agreement with others, and trust -------------------------------------------------------------------------------


def test_who_settles_disagreements_is_not_compared_with_those_who_had_them():
    """Each pair of honest voters agrees on 60%: 1 - 2 E[q (1 - q)], with q from Beta(2, 2)."""
    random, rows = np.random.default_rng(5), []
    for pair, even in enumerate(random.beta(2, 2, 3000)):
        said = ["model_a" if won else "model_b" for won in random.random(3) < even]
        who = random.choice(40, 3, replace=False)
        for winner, voter in list(zip(said, who, strict=True))[: 3 if said[0] != said[1] else 2]:
            rows.append(row("x", "y", winner, image_a=f"{pair}x", image_b=f"{pair}y", voter=f"u{voter}",
                            created_at=len(rows)))  # fmt: skip
    votes = votes_from_rows(rows)
    found = voters(votes, ballots(votes))
    assert found.alike.sum() / found.compared.sum() == pytest.approx(0.6, abs=0.02)
    assert found.compared.sum() == 6000 and found.votes.sum() == len(rows)
    rate = found.alike / found.compared
    assert abs(rate.mean() - 0.6) < 0.02 and trust(votes, agreement=True).weight.mean() > 0.95
    study = Study(votes)
    for name in ("voters", "trusted"):
        assert any("first 2 voters of each pair" in note for note in SHEETS[name](study).notes)


def test_the_sheet_and_the_board_say_how_many_votes_weigh_what():
    votes = votes_from_rows(EXACT)
    sheet = SHEETS["sampling"](Study(votes))
    assert {
        row["rating"] - row["reweighted"] for row in sheet.rows
    } and "No vote has a pair_probability." in sheet.notes
    assert any(
        "410 votes" in note and "weigh 0" in note and "the other 2,000 weigh 1.205 each" in note for note in sheet.notes
    )
    served, reweighted = (build(votes, sampling=sampling).notes for sampling in ("as-served", "reweighted"))
    assert any(
        "first two voters of a pair of images disagreed" in note and "no rank changes" in note for note in served
    )
    assert any("weigh 0" in note for note in reweighted)
    plain = votes_from_rows(votes_on((20, "AA"), (20, "AB")))
    assert not any("disagreed" in note for note in build(plain).notes) and sampled(plain) is None
    with pytest.raises(errors.UnknownChoice, match="no vote has a pair_probability"):
        weighed(plain, "reweighted")
