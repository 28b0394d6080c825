"""Overlap and agreement, against hand-made cases, brute force, the library `krippendorff` and real votes."""

from itertools import combinations
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from leaderboard.agreement import (
    ALL,
    agreements,
    alpha,
    ballots,
    distinct,
    draws_as_one,
    measure,
    overlap,
    shares_of_others,
)
from leaderboard.figures import FIGURES
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.tie_break import tie_break
from leaderboard.votes import OUTCOMES, read_votes, votes_from_rows
from tests.leaderboard_rows import row, simulated

LLMFAO = Path(__file__).parents[3] / "shared" / "data" / "llmfao" / "crowd-comparisons.csv"


def rng():
    return np.random.default_rng(7)


def seen(pair, winner, voter, turned=False, **more):
    """A vote on the images of `pair`, as its first image's side would have it; `turned` shows them changed about."""
    if turned:
        winner = {"model_a": "model_b", "model_b": "model_a"}.get(winner, winner)
        return row("y", "x", winner, image_a=f"{pair}-y", image_b=f"{pair}-x", voter=voter, **more)
    return row("x", "y", winner, image_a=f"{pair}-x", image_b=f"{pair}-y", voter=voter, **more)


def counts_of(rows):
    return ballots(votes_from_rows(rows)).counts()


# -- which votes are on the same pair -----------------------------------------------------------------------------


def test_the_same_pair_with_swapped_sides_is_one_pair_and_its_outcomes_are_turned():
    rows = [seen("p", "model_a", "u"), seen("p", "model_a", "v", turned=True), seen("p", "both_good", "w", turned=True)]
    assert counts_of(rows).tolist() == [[2, 0, 1, 0]]


def test_without_image_ids_the_pair_id_tells_and_then_the_prompt_with_its_models():
    by_pair = votes_from_rows([row("x", "y", "model_a", pair_id="1", voter=u) for u in "uv"])
    assert ballots(by_pair).known_by == {"pair_id": 2} and ballots(by_pair).counts().tolist() == [[2, 0, 0, 0]]
    rows = [row("x", "y", "model_a", prompt_id="1", voter="u"), row("y", "x", "model_b", prompt_id="1", voter="v"),
            row("x", "z", "model_a", prompt_id="1", voter="u"), row("x", "y", "model_a", voter="w")]  # fmt: skip
    by_prompt = ballots(votes_from_rows(rows))
    assert by_prompt.known_by == {"prompt and models": 3} and by_prompt.unplaced == 1
    assert sorted(by_prompt.counts().tolist()) == [[1, 0, 0, 0], [2, 0, 0, 0]]


def test_kinds_of_pairs_do_not_mix_in_one_source():
    rows = [
        seen("p", "model_a", "u"),
        row("x", "y", "model_b", prompt_id="p", voter="v"),
        row("x", "y", "tie", voter="w"),
    ]
    found = ballots(votes_from_rows(rows))
    assert found.known_by == {"images": 1, "prompt and models": 1} and found.unplaced == 1
    assert overlap(found.counts()) == ((1, 2, 2),)


def test_one_pair_id_on_two_pairs_of_models_is_two_pairs():
    rows = [row("x", "y", "model_a", pair_id="1", voter="u"), row("x", "z", "model_a", pair_id="1", voter="v")]
    assert overlap(counts_of(rows)) == ((1, 2, 2),)


def test_a_voter_counts_once_on_a_pair_with_the_first_vote():
    rows = [seen("p", winner, "u", created_at=at) for at, winner in ((2, "model_b"), (1, "both_bad"), (3, "model_a"))]
    found = ballots(votes_from_rows([*rows, seen("p", "model_a", "v", created_at=4)]))
    assert found.repeats == 2 and found.counts().tolist() == [[1, 0, 0, 1]]


def test_votes_without_a_voter_are_taken_as_different_voters_and_counted():
    found = ballots(votes_from_rows([seen("p", "model_a", None), seen("p", "model_a", None), seen("p", "tie", "u")]))
    assert found.nameless == 2 and found.repeats == 0 and found.counts().tolist() == [[2, 0, 1, 0]]


def test_votes_that_name_no_pair_have_no_agreement_and_the_sheet_says_so():
    study = Study(votes_from_rows([row("x", "y", "model_a", voter=u) for u in "uvw"]))
    whole = study.agreement[0]
    assert (whole.votes, whole.pairs, whole.agreement, whole.alpha, whole.mean_votes) == (0, 0, None, None, None)
    sheet = SHEETS["agreement"](study)
    assert any("3 votes name no pair" in note for note in sheet.notes) and "–" in sheet.to_text()
    assert SHEETS["overlap"](study).rows == ()


def test_no_votes_at_all():
    study = Study(votes_from_rows([]))
    assert study.agreement[0].votes == 0 and SHEETS["overlap"](study).rows == ()
    SHEETS["agreement"](study).to_json()


# -- the measures -------------------------------------------------------------------------------------------------

TABLES = st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), min_size=1, max_size=30)


def brute_force(counts):
    """Mean over pairs of the share of agreeing pairs of voters, every pair of voters looked at."""
    shares = []
    for line in counts:
        choices = [outcome for outcome, times in enumerate(line) for _ in range(times)]
        if len(choices) > 1:
            both = list(combinations(choices, 2))
            shares.append(sum(a == b for a, b in both) / len(both))
    return sum(shares) / len(shares) if shares else None


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_agreement_is_that_of_every_two_voters_of_a_pair(lines):
    counts = np.array(lines)
    found, expected = measure("all", counts, rng()), brute_force(lines)
    assert (found.agreement is None) == (expected is None)
    if expected is not None:
        assert found.agreement == pytest.approx(expected)
        assert 0 <= found.agreement_lower <= found.agreement <= found.agreement_upper <= 1
        assert found.majority >= found.by_vote - 1e-12 and 0.25 <= found.chance <= 1
        for value in (found.alpha, found.alpha_lower, found.alpha_three, found.alpha_three_upper):
            assert value is None or np.isfinite(value)


@settings(max_examples=60, deadline=None)
@given(TABLES, st.randoms(use_true_random=False))
def test_nothing_depends_on_which_image_is_called_the_first(lines, random):
    turned = [[b, a, good, bad] if random.random() < 0.5 else [a, b, good, bad] for a, b, good, bad in lines]
    one, other = (measure("all", np.array(table), rng()) for table in (lines, turned))
    for name in ("agreement", "by_vote", "chance", "alpha", "alpha_three"):
        assert getattr(one, name) == (None if getattr(other, name) is None else pytest.approx(getattr(other, name)))


def test_pairs_or_votes_may_weigh_equally():
    found = measure("all", np.array([[2, 0, 0, 0], [3, 3, 0, 0]]), rng())
    assert found.agreement == pytest.approx((1 + 6 / 15) / 2)
    assert found.by_vote == pytest.approx((2 * 1 + 6 * 6 / 15) / 8) and found.majority == pytest.approx(5 / 8)


def test_alpha_is_the_librarys_where_the_sides_are_balanced():
    counts = rng().integers(0, 3, (400, 4))
    balanced = np.vstack([counts, counts[:, [1, 0, 2, 3]]])
    published = krippendorff.alpha(value_counts=balanced, level_of_measurement="nominal")
    assert alpha(counts) == pytest.approx(published, abs=1e-12)
    assert alpha(balanced) == pytest.approx(published, abs=1e-3)


def test_of_many_pairs_the_same_alpha_comes_without_the_library(monkeypatch):
    for outcomes in (4, 3):
        counts = rng().integers(0, 3, (700, outcomes))
        by_library = alpha(counts)
        with monkeypatch.context() as patched:
            patched.setattr("leaderboard.agreement.LARGE", 1)
            assert alpha(counts) == pytest.approx(by_library, abs=1e-12)
            assert alpha(np.array([[0, 0, 3]] * 5)) is None


def test_two_voters_who_always_agree_have_alpha_one_and_coin_tossers_none():
    agreeing = np.repeat([[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2]], 25, axis=0)
    assert alpha(agreeing) == pytest.approx(1.0)
    tossed = np.random.default_rng(3).multinomial(4, [0.3, 0.3, 0.3, 0.1], 3000)
    found = measure("all", tossed, rng())
    assert found.alpha_lower < 0 < found.alpha_upper and abs(found.alpha) < 0.02
    assert found.agreement_lower < found.chance < found.agreement_upper


def test_where_everybody_always_says_the_same_draw_alpha_is_not_known():
    found = measure("all", np.array([[0, 0, 3, 0]] * 30), rng())
    assert found.alpha is None and found.agreement == 1.0 and found.agreement_lower < 0.95


def test_four_outcomes_that_differ_in_the_kind_of_draw_alone_agree_as_three():
    counts = np.array([[0, 0, 1, 1], [2, 0, 0, 0], [0, 2, 0, 0]] * 20)
    assert draws_as_one(counts).sum() == counts.sum()
    found = measure("all", counts, rng())
    assert found.alpha_three == pytest.approx(1.0) and found.alpha < 0.7


def test_distinct_rows_stand_for_all_of_them():
    counts = rng().integers(0, 3, (500, 4))
    kinds, times = distinct(counts)
    assert sorted(map(tuple, np.repeat(kinds, times, axis=0))) == sorted(map(tuple, counts))


def test_alphas_interval_is_that_of_the_library_on_resampled_pairs():
    random = np.random.default_rng(5)
    leaning = random.dirichlet([1, 1, 1, 0.5], 150)
    counts = np.array([random.multinomial(3, share) for share in leaning])
    resampled = [alpha(counts[random.integers(0, len(counts), len(counts))]) for _ in range(400)]
    found = measure("all", counts, rng())
    assert found.alpha_lower == pytest.approx(np.quantile(resampled, 0.025), abs=0.02)
    assert found.alpha_upper == pytest.approx(np.quantile(resampled, 0.975), abs=0.02)


def test_the_interval_of_agreement_covers():
    random = np.random.default_rng(11)
    kinds = np.array([[0.9, 0.1, 0, 0], [0.4, 0.4, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    truth = (kinds**2).sum(axis=1).mean()
    for pairs in (8, 60):
        covered = 0
        for _ in range(150):
            counts = np.array([random.multinomial(3, kinds[kind]) for kind in random.integers(0, 3, pairs)])
            found = measure("all", counts, random)
            covered += found.agreement_lower <= truth <= found.agreement_upper
        assert covered / 150 >= 0.92, pairs


def test_leaving_oneself_out_is_asking_the_others_alone():
    votes = votes_from_rows(simulated(votes=900, prompts=5, voters=25, seed=4))
    found = ballots(votes)
    shares = shares_of_others(found)
    for at in range(len(found.row)):
        others = (found.pair == found.pair[at]) & (np.arange(len(found.row)) != at)
        if others.any():
            assert shares[at] == pytest.approx(np.mean(found.outcome[others] == found.outcome[at]))
        else:
            assert np.isnan(shares[at])


def test_every_group_has_its_own_line_after_all_of_them():
    votes = votes_from_rows(simulated(votes=900, prompts=9, voters=25))
    found = agreements(votes, ballots(votes), "category", rng())
    assert [line.group for line in found] == [ALL, "category 0", "category 1", "category 2"]
    assert found[0].votes == sum(line.votes for line in found[1:])
    assert found[0].overlap_pairs == sum(line.overlap_pairs for line in found[1:])
    study = Study(votes)
    assert [line["group"] for line in SHEETS["agreement"](study).rows] == [line.group for line in found]
    assert sum(line["votes"] for line in SHEETS["overlap"](study).rows) == found[0].votes


def test_the_same_votes_in_another_order_with_sides_changed_say_the_same():
    random = np.random.default_rng(2)
    rows = simulated(votes=600, prompts=6, voters=2000)
    changed = [dict(vote) for vote in rows]
    for vote in changed:
        if random.random() < 0.5:
            vote["model_a"], vote["model_b"] = vote["model_b"], vote["model_a"]
            vote["winner"] = {"model_a": "model_b", "model_b": "model_a"}.get(vote["winner"], vote["winner"])
    random.shuffle(changed)
    one, other = (Study(votes_from_rows(some)).agreement for some in (rows, changed))
    assert [line.alpha for line in one] == pytest.approx([line.alpha for line in other])
    assert [line.agreement for line in one] == pytest.approx([line.agreement for line in other])


# -- a third voter where two disagree -----------------------------------------------------------------------------


def asked(random, pairs, third):
    """Votes on pairs of images of unlike difficulty, two voters each and a third one where `third(first, second)`; and
    the chance that two voters agree."""
    rows, number = [], 0
    share = random.beta(2.0, 2.0, pairs)
    for pair, even in enumerate(share):
        chosen = []
        while len(chosen) < 2 or (len(chosen) == 2 and third(*chosen)):
            chosen.append("model_a" if random.random() < even else "model_b")
            rows.append(
                seen(f"p{pair}", chosen[-1], f"u{number}", turned=bool(random.random() < 0.5), created_at=number)
            )
            number += 1
    return rows, 0.6  # 1 - 2 E[q (1 - q)], with q from Beta(2, 2)


def different(one, other):
    return one != other


def test_a_third_voter_for_two_who_disagree_makes_all_look_alike_and_the_first_two_tell_the_truth():
    random = np.random.default_rng(11)
    of_all, of_two, held = [], [], []
    for _ in range(60):
        rows, truth = asked(random, 300, different)
        votes = votes_from_rows(rows)
        (found,) = agreements(votes, ballots(votes), "category", rng())
        of_all.append(found.agreement)
        of_two.append(found.first.agreement)
        held.append(found.first.agreement_lower <= truth <= found.first.agreement_upper)
        assert found.tie_break.found and found.tie_break.differed_more == found.tie_break.differed
        assert found.alpha > found.first.alpha
    error = np.std(of_two, ddof=1) / np.sqrt(len(of_two))
    assert np.mean(of_two) == pytest.approx(truth, abs=3 * error) and np.mean(held) >= 0.88
    assert np.mean(of_all) == pytest.approx(truth + (1 - truth) / 3, abs=0.01), "a settled pair counts as one third"


def test_what_the_first_two_say_is_what_all_say_where_the_third_voter_comes_by_chance():
    random = np.random.default_rng(12)
    rows, truth = asked(random, 3000, lambda one, other: random.random() < 0.4)
    votes = votes_from_rows(rows)
    (found,) = agreements(votes, ballots(votes), "category", rng())
    assert not found.tie_break.found
    assert found.agreement == pytest.approx(truth, abs=0.03) and found.first.agreement == pytest.approx(truth, abs=0.03)
    assert not any("first two" in note for note in SHEETS["agreement"](Study(votes)).notes)


def test_the_first_two_are_the_first_by_time_however_the_rows_stand():
    rows = [seen("p", winner, f"u{at}", created_at=at) for at, winner in enumerate(["model_a", "model_b", "model_b"])]
    rows += [seen("q", "model_a", f"v{at}", created_at=at) for at in range(2)]
    for some in (rows, rows[::-1]):
        votes = votes_from_rows(some)
        (found,) = agreements(votes, ballots(votes), "category", rng())
        assert (found.agreement, found.first.agreement) == (pytest.approx(2 / 3), 0.5)
        assert found.first.votes == 4 and found.first.overlap_pairs == found.overlap_pairs == 2
        assert (found.tie_break.agreed, found.tie_break.differed, found.tie_break.differed_more) == (1, 1, 1)
    (alone,) = agreements(v := votes_from_rows(rows[3:]), ballots(v), "category", rng())
    assert alone.tie_break is None and alone.first.agreement == alone.agreement == 1.0


@pytest.mark.parametrize("cells", [(30, 2, 20, 9), (5, 5, 5, 0), (1, 0, 1, 1), (0, 0, 40, 40), (200, 0, 150, 140)])
def test_that_more_are_asked_where_two_differ_is_fishers_exact_test(cells):
    agreed, agreed_more, differed, differed_more = cells
    expected = fisher_exact([[differed_more, differed - differed_more], [agreed_more, agreed - agreed_more]], "greater")
    first = np.array([[2, 0, 0, 0]] * agreed + [[1, 1, 0, 0]] * differed)
    more = [1] * agreed_more + [0] * (agreed - agreed_more) + [1] * differed_more + [0] * (differed - differed_more)
    found = tie_break(first + np.column_stack([more, np.zeros((len(more), 3), int)]), first)
    assert (found.agreed, found.agreed_more, found.differed, found.differed_more) == cells
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)


def test_the_sheet_says_aloud_which_agreement_to_quote():
    rows, _ = asked(np.random.default_rng(3), 200, different)
    study = Study(votes_from_rows(rows))
    sheet = SHEETS["agreement"](study)
    assert "first two disagreed: to 100% of those pairs" in sheet.notes[0]
    assert sheet.rows[0]["first_agreement"] < sheet.rows[0]["agreement"]
    figure = FIGURES["agreement"].draw(study, sheet)
    assert figure.data[0].x[0] == sheet.rows[0]["first_agreement"] and "first two" in figure.layout.xaxis.title.text


# -- real votes ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not LLMFAO.exists(), reason="the votes of llmfao are not here")
def test_the_published_alpha_of_llmfao():
    votes = read_votes(LLMFAO)
    found = ballots(votes)
    assert len(votes) == 8931 and found.pairs == 2139 and found.repeats == 0
    whole = measure("all", found.counts(), rng())
    assert round(whole.alpha, 2) == 0.29 and round(whole.mean_votes, 1) == 4.2
    assert whole.alpha_lower < whole.alpha < whole.alpha_upper
    assert found.counts().sum(axis=0)[OUTCOMES.index("both_good")] == 3471
    assert whole.alpha_three == pytest.approx(whole.alpha)  # it knows one kind of draw
