"""Intervals held to the truth: an oracle that sums scores vote by vote, closed forms, and the bootstrap fit by fit."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard import bootstrap, errors, sandwich
from leaderboard.audit import audit
from leaderboard.board import build
from leaderboard.clusters import FEWEST_CLUSTERS, WAYS, capped, chosen, codes_of
from leaderboard.likelihood import FEW_BATTLES, profile
from leaderboard.ratings import METHODS, SCALE, fit
from leaderboard.sheets import SHEETS
from leaderboard.standings import table
from leaderboard.study import Study
from leaderboard.tally import Pairs, tally
from leaderboard.votes import votes_from_rows
from tests.leaderboard_rows import battles, row, simulated

ESTIMATED = sorted(METHODS.keys() - {"elo"})


def pairs_of(votes):
    return Pairs.of(tally(votes, weighted=votes.weight is not None).total())


def by_model(rows):
    return {line.model: line for line in rows}


# -- the sandwich -------------------------------------------------------------------------------------------------


def oracle(votes, estimate, rated, anchor, ways):
    """The covariance by its definition: one vote, one cluster, one outer product at a time."""
    place = {int(model): at for at, model in enumerate(rated)}
    inverse = np.linalg.pinv(estimate.information, hermitian=True)
    models, size = len(rated), len(estimate.information)
    influence = inverse[:models] - anchor @ inverse[:models] / anchor.sum()

    def one_way(codes):
        sums, share, total = {}, {}, 0.0
        for n in range(len(votes)):
            a, b = place.get(int(votes.model_a[n])), place.get(int(votes.model_b[n]))
            if a is None or b is None:
                continue
            weight = 1.0 if votes.weight is None else votes.weight[n]
            score = np.zeros(size)
            score[a] += estimate.score_a[a, b, votes.winner[n]]
            score[b] += estimate.score_b[a, b, votes.winner[n]]
            score[models:] = estimate.score_more[a, b, votes.winner[n]]
            key = ("alone", n) if codes[n] is None else codes[n]
            sums[key] = sums.get(key, 0.0) + weight * score
            share[key] = share.get(key, 0.0) + weight
            total += weight
        found = np.zeros((models, models))
        for key, score in sums.items():
            moved = influence @ score
            if ways:
                moved = moved / (1.0 - share[key] / total)
            found += np.outer(moved, moved)
        return found

    columns = [[None if code < 0 else (way, code) for code in getattr(votes, WAYS[way]).codes] for way in ways]
    if not ways:
        return one_way([None] * len(votes))
    if len(ways) == 1:
        return one_way(columns[0])
    pairs = list(zip(*columns, strict=True))
    times = {pair: pairs.count(pair) for pair in pairs}
    together = [None if None in pair or times[pair] == 1 else pair for pair in pairs]
    both = one_way(columns[0]) + one_way(columns[1]) - one_way(together)
    values, vectors = np.linalg.eigh(both)
    return vectors * np.maximum(values, 0.0) @ vectors.T


@pytest.mark.parametrize("ways", [(), ("prompt",), ("voter",), ("prompt", "voter")])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ESTIMATED)
def test_the_sandwich_is_the_sum_over_clusters(method, ways, weighted):
    rows = simulated(260, models=4, prompts=20, voters=9) + battles("new", "m0", 0, 3)
    rows = [cell | {"prompt_id": None} if n % 11 == 0 else cell for n, cell in enumerate(rows)]
    votes = votes_from_rows(rows)
    votes = capped(votes, 12) if weighted else votes
    pairs = pairs_of(votes)
    ratings = METHODS[method](votes, pairs)
    rated = ratings.rated
    anchor = pairs.only(rated).battles.sum(axis=1)
    found = sandwich.covariance(votes, pairs, ratings.estimate, rated, anchor, ways)
    assert found.values == pytest.approx(oracle(votes, ratings.estimate, rated, anchor, ways), rel=1e-6, abs=1e-9)
    assert (found.degrees >= 3).all()


def test_clusters_summed_in_blocks_are_the_same(monkeypatch):
    votes = votes_from_rows(
        [cell | {"prompt_id": None} if n % 7 == 0 else cell for n, cell in enumerate(simulated(400))]
    )
    pairs = pairs_of(votes)
    ratings = METHODS["bradley-terry"](votes, pairs)
    anchor = pairs.battles.sum(axis=1)

    def values():
        return sandwich.covariance(votes, pairs, ratings.estimate, ratings.rated, anchor, ("prompt", "voter")).values

    whole = values()
    monkeypatch.setattr(sandwich, "MOST_CELLS", 30)  # five clusters of six models at a time
    assert values() == pytest.approx(whole, abs=1e-12)


def test_a_vote_of_weight_two_is_two_votes_that_share_a_prompt():
    rows = [cell | {"prompt_id": f"p{n}", "voter": f"u{n}"} for n, cell in enumerate(simulated(200, models=3))]
    twice = [cell | {"vote_id": None} for cell in rows for _ in range(2)]
    once = votes_from_rows(rows)
    doubled, repeated = replace(once, weight=np.full(len(once), 2.0)), votes_from_rows(twice)
    found = []
    for votes in (doubled, repeated):
        pairs = pairs_of(votes)
        ratings = METHODS["bradley-terry"](votes, pairs)
        anchor = pairs.battles.sum(axis=1)
        found.append(sandwich.covariance(votes, pairs, ratings.estimate, ratings.rated, anchor, ("prompt",)).values)
    assert found[0] == pytest.approx(found[1], abs=1e-12)


def test_students_t_by_its_table():
    assert sandwich.student([3, 5, 10, 30, 1e9]) == pytest.approx([3.182, 2.571, 2.228, 2.042, 1.960], rel=0.01)


# -- which votes are taken together -------------------------------------------------------------------------------


def test_the_automatic_choice_takes_what_is_known_often_enough():
    few = votes_from_rows(simulated(300, prompts=FEWEST_CLUSTERS - 1, voters=FEWEST_CLUSTERS - 1))
    many = votes_from_rows(simulated(600, prompts=60, voters=60))
    once = votes_from_rows([cell | {"prompt_id": f"p{n}"} for n, cell in enumerate(simulated(600, voters=20))])
    assert chosen(few) == () and chosen(many) == ("prompt", "voter") and chosen(once) == ()
    assert chosen(few, "voter") == ("voter",) and chosen(many, "none") == () and chosen(few, "both") == tuple(WAYS)
    assert chosen(votes_from_rows(battles("x", "y", 3, 2, voter="one")), "voter") == ()


def test_votes_of_one_voter_on_one_prompt_are_their_intersection():
    rows = [row("x", "y", "model_a", prompt_id=p, voter=v, vote_id=f"{n:02d}", created_at=1_790_000_000_000 + n)
            for n, (p, v) in enumerate([("p", "u"), ("p", "w"), ("p", "u"), (None, "u"), (None, "u"), ("q", "w")])]  # fmt: skip
    codes = codes_of(votes_from_rows(rows), ("prompt", "voter"))
    assert codes.tolist() == [0, -1, 0, -1, -1, -1]


@pytest.mark.parametrize(("options", "words"), [
    ({"clusters": "image"}, "can't cluster by 'image'; known are auto, none, prompt, voter, both"),
    ({"clusters": "voter"}, "can't cluster by voter: no vote has a voter"),
    ({"voter_cap": 0}, "must be above 0"),
])  # fmt: skip
def test_what_can_not_be_taken_together_is_refused(options, words):
    votes = votes_from_rows(battles("x", "y", 3, 2))
    for compute in (build, audit):
        with pytest.raises(errors.UnknownChoice, match=words):
            compute(votes, **options)


def test_a_cap_makes_a_busy_voter_weigh_as_much_as_the_cap():
    rows = battles("x", "y", 90, 10, voter="busy") + battles("x", "y", 5, 5, voter="calm") + battles("x", "y", 1, 1)
    votes = capped(votes_from_rows(rows), 20)
    of = {name: votes.weight[votes.voter.codes == code].sum() for code, name in enumerate(votes.voter.names)}
    assert of == pytest.approx({"busy": 20, "calm": 10}) and votes.weight[votes.voter.codes < 0].tolist() == [1, 1]
    board = build(votes_from_rows(rows), voter_cap=20)
    rating = {line.model: line.rating for line in board.standings}
    assert rating["x"] - rating["y"] == pytest.approx(400 * math.log10((18 + 5 + 1) / (2 + 5 + 1)), abs=1e-6)
    assert by_model(board.standings)["x"].votes == 112 and any("32 in all" in note for note in board.notes)


def test_no_cap_leaves_the_plain_counts():
    votes = votes_from_rows(simulated(300))
    assert build(votes).standings == build(votes, voter_cap=10_000).standings


@pytest.mark.parametrize("prompts", [60, FEWEST_CLUSTERS - 1])
def test_a_newcomer_without_a_rating_moves_no_clustered_interval(prompts):
    rows = simulated(900, prompts=prompts)
    lost = [row("new", f"m{n % 6}", "model_b", prompt_id=f"p{7 * n}", voter=f"u{n}") for n in range(12)]
    before, after = build(votes_from_rows(rows)), build(votes_from_rows(rows + lost))
    for line in before.standings:
        now = by_model(after.standings)[line.model]
        assert (now.rating, now.rating_lower, now.rating_upper) == pytest.approx(
            (line.rating, line.rating_lower, line.rating_upper), abs=1e-6)  # fmt: skip


# -- likelihood ratio ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wins", "losses"), [(7, 3), (9, 1), (20, 20), (1, 1)])
def test_two_models_by_wilks(wins, losses):
    """The ends of the log odds at which a binomial's log likelihood has fallen by half of 3.84."""
    count = wins + losses

    def loss(odds):
        return (wins * math.log(wins / count) + losses * math.log(losses / count)
                - wins * odds + count * math.log1p(math.exp(odds)))  # fmt: skip

    def end(sign):
        low, high = math.log(wins / losses), math.log(wins / losses) + sign * 30
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if loss(middle) < sandwich.Z95**2 / 2 else (low, middle)
        return low

    line = by_model(build(votes_from_rows(battles("x", "y", wins, losses))).standings)["x"]
    assert line.rating_lower == pytest.approx(1000 + SCALE * end(-1) / 2, abs=1e-4)
    assert line.rating_upper == pytest.approx(1000 + SCALE * end(1) / 2, abs=1e-4)


def table_of(wins):
    none = np.zeros_like(wins)
    return Pairs(wins, none, none)


def chain(models, wins):
    found = np.zeros((models, models))
    for first in range(models - 1):
        found[first, first + 1], found[first + 1, first] = wins, 1
    return found


CIRCLE = np.array([[0.0, 40.0, 0.0], [0.0, 0.0, 40.0], [1.0, 0.0, 0.0]])


@pytest.mark.parametrize(("wins", "scale"), [(chain(5, 23.0), 1.0), (CIRCLE, 1.0), (CIRCLE, 3.0), (chain(4, 2.0), 0.4)])
def test_the_best_likelihood_at_either_end_has_fallen_by_half_of_chi_squared(wins, scale):
    """An independent optimiser, held at the end of an interval, gets as high as the definition says."""
    from scipy.optimize import minimize

    pairs = table_of(wins)
    strength, anchor = fit(pairs), pairs.battles.sum(axis=1)

    def loss(rating):
        return float((pairs.score * np.logaddexp(0, rating[None, :] - rating[:, None])).sum())

    ends = profile(pairs, strength, anchor, [0, 1, 2], np.full(3, scale))
    for model in range(3):
        contrast = np.eye(len(wins))[model] - anchor / anchor.sum()
        for end in (ends[0][model], ends[1][model]):
            held = {"type": "eq", "fun": lambda rating, c=contrast, end=end: c @ rating - end}
            best = minimize(loss, strength, constraints=[held], method="SLSQP", options={"maxiter": 500, "ftol": 1e-12})
            assert 2 * (best.fun - loss(strength)) == pytest.approx(scale * sandwich.Z95**2, abs=1e-5)


def test_a_rating_near_the_edge_may_be_further_out():
    rows = simulated(600) + battles("new", "m0", 9, 1)
    votes = votes_from_rows(rows)
    found = table(votes, pairs_of(votes), "bradley-terry", np.random.default_rng(0))
    line = by_model(found.rows)["new"]
    assert line.rating_upper - line.rating > 1.2 * (line.rating - line.rating_lower)
    assert found.kinds["new"] == "likelihood ratio" and set(found.kinds.values()) == {"likelihood ratio", "sandwich"}
    assert "new" not in found.anytime and "m0" in found.anytime


def test_just_enough_battles_get_the_sandwich_and_nearly_the_same_interval(monkeypatch):
    rows = battles("x", "y", 28, 25) + battles("y", "z", 30, 25) + battles("z", "x", 24, 28)
    votes = votes_from_rows([cell | {"winner": "both_bad"} if n % 5 == 0 else cell for n, cell in enumerate(rows)])
    plain = build(votes).standings
    monkeypatch.setattr("leaderboard.intervals.FEW_BATTLES", 10 * FEW_BATTLES)
    for a, b in zip(plain, build(votes).standings, strict=True):
        assert b.rating_upper - b.rating_lower == pytest.approx(a.rating_upper - a.rating_lower, rel=0.06)
        assert b.rating_upper != a.rating_upper


# -- groups apart -------------------------------------------------------------------------------------------------


def test_groups_apart_are_rated_among_themselves():
    rows = simulated(300, models=4) + battles("x", "y", 10, 20) + battles("p", "q", 3, 3) + battles("solo", "x", 1)
    votes = votes_from_rows(rows)
    found = table(votes, pairs_of(votes), "bradley-terry", np.random.default_rng(0))
    assert [group.models for group in found.components] == [("y", "x"), ("p", "q")]
    first = found.components[0]
    assert first.rating[0] - first.rating[1] == pytest.approx(400 * math.log10(2), abs=1e-6)
    assert sum(first.rating) == pytest.approx(0, abs=1e-6) and first.battles == 30
    assert all(low < rating < high for low, rating, high in zip(first.lower, first.rating, first.upper, strict=True))
    assert all(by_model(found.rows)[name].rating is None and by_model(found.rows)[name].preliminary for name in "xypq")
    sheet = SHEETS["components"](Study(votes))
    assert [(line["group"], line["model"]) for line in sheet.rows] == [(1, "y"), (1, "x"), (2, "p"), (2, "q")]
    assert any("comparable among themselves" in note and "y +60" in note for note in build(votes).notes)


# -- the bootstrap ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "draws"), [(simulated(600), 40), (simulated(70, models=8), 200)])
def test_resamples_fitted_at_once_are_those_fitted_one_by_one(rows, draws):
    votes = votes_from_rows(rows)
    pairs = pairs_of(votes)
    ratings = METHODS["bradley-terry"](votes, pairs)
    assert len(ratings.rated) == len(votes.models)
    anchor = pairs.battles.sum(axis=1)
    found = bootstrap.of_table(pairs, ratings.rating / SCALE, anchor, np.random.default_rng(3), draws)
    met = np.argwhere(np.triu(pairs.battles, 1))
    cells = np.array([[pairs.wins[i, j] for i, j in met], [pairs.wins[j, i] for i, j in met],
                      [pairs.draws[i, j] for i, j in met]])  # fmt: skip
    draw = bootstrap.multinomial(cells.ravel().astype(int), np.random.default_rng(3))
    drawn = np.concatenate([draw(min(bootstrap.BLOCK, draws - at)) for at in range(0, draws, bootstrap.BLOCK)])
    compared = 0
    for resample, ours in zip(drawn.reshape(draws, 3, -1), found.ratings, strict=True):
        wins, tied = np.zeros_like(pairs.wins), np.zeros_like(pairs.wins)
        for (i, j), (won, lost, draw) in zip(met, resample.T, strict=True):
            wins[i, j], wins[j, i], tied[i, j], tied[j, i] = won, lost, draw, draw
        if np.isfinite(ours).all():
            theirs = fit(Pairs(wins, tied, np.zeros_like(wins)))
            assert ours == pytest.approx(theirs - theirs @ anchor / anchor.sum(), abs=1e-7)
            compared += 1
    assert compared == draws - found.unbounded and compared > draws / 3


@pytest.mark.parametrize("most", [10, bootstrap.MOST_LISTED])
def test_resamples_are_exactly_multinomial(most, monkeypatch):
    monkeypatch.setattr(bootstrap, "MOST_LISTED", most)
    cells = np.array([1, 0, 2, 4])
    drawn = bootstrap.multinomial(cells, np.random.default_rng(0))(60_000)
    assert (drawn.sum(axis=1) == 7).all() and (drawn[:, 1] == 0).all()
    found, times = np.unique(drawn.astype(int), axis=0, return_counts=True)
    chance = scipy.stats.multinomial(7, cells / 7).pmf(found)
    assert chance.sum() > 0.999
    usual = chance * 60_000 > 5
    assert scipy.stats.chisquare(times[usual], chance[usual] / chance[usual].sum() * times[usual].sum()).pvalue > 0.001


def test_resamples_without_a_maximum_are_counted_and_open_the_interval():
    votes = votes_from_rows(battles("x", "y", 4, 1))
    pairs = pairs_of(votes)
    ratings = METHODS["bradley-terry"](votes, pairs)
    found = bootstrap.of_table(pairs, ratings.rating / SCALE, np.ones(2), np.random.default_rng(0), 1000)
    assert found.unbounded == pytest.approx(1000 * (0.8**5 + 0.2**5), abs=45)
    lower, upper = found.bounds()
    assert upper[0] == math.inf and lower[1] == -math.inf and math.isfinite(lower[0])
    checked = audit(votes).checked["x"]
    assert checked.upper is None and checked.ratio is None and checked.differs


def crowd(votes=3000, prompts=80, models=4, luck=1.0, seed=5):
    """Rows on prompts whose images have luck: what is drawn together matters."""
    rng = np.random.default_rng(seed)
    shift, rows = rng.normal(0, luck, (prompts, models)), []
    for _ in range(votes):
        prompt, (a, b) = int(rng.integers(prompts)), rng.choice(models, 2, replace=False)
        won = rng.random() < 1 / (1 + np.exp(shift[prompt, b] - shift[prompt, a]))
        rows.append(row(f"m{a}", f"m{b}", "model_a" if won else "model_b", prompt_id=f"p{prompt}",
                        voter=f"u{int(rng.integers(300))}"))  # fmt: skip
    return rows


@pytest.mark.parametrize("clusters", ["none", "prompt", "voter", "both"])
def test_the_bootstrap_agrees_with_the_sandwich(clusters):
    found = audit(votes_from_rows(crowd()), clusters=clusters)
    assert len(found.checked) == 4 and found.unbounded == 0
    assert {checked.differs for checked in found.checked.values()} == {False}
    assert np.mean([checked.ratio for checked in found.checked.values()]) == pytest.approx(1, abs=0.15)


def test_votes_on_shared_prompts_widen_both():
    votes = votes_from_rows(crowd())
    alone, together = audit(votes, clusters="none"), audit(votes, clusters="prompt")
    for model, checked in together.checked.items():
        assert checked.upper - checked.lower > 1.5 * (alone.checked[model].upper - alone.checked[model].lower)


# -- sheets, and whatever the votes -------------------------------------------------------------------------------


def test_the_sheet_shows_every_interval_side_by_side():
    rows = simulated(700) + battles("new", "m0", 4, 3) + battles("lost", "m0", 0, 3)
    sheet = SHEETS["intervals"](Study(votes_from_rows(rows)))
    line = {cell["model"]: cell for cell in sheet.rows}
    board = by_model(build(votes_from_rows(rows)).standings)
    assert line["m1"]["lower"] == board["m1"].rating_lower and line["m1"]["together"] == "prompt and voter"
    assert line["m1"]["anytime_lower"] < line["m1"]["lower"] < line["m1"]["upper"] < line["m1"]["anytime_upper"]
    assert line["new"]["made"] == "likelihood ratio" and line["lost"].get("made") is None
    json.dumps(sheet.to_json(), allow_nan=False)
    assert "Elo" in " ".join(column.explain for column in sheet.columns) and sheet.to_text() and sheet.to_csv()
    other = SHEETS["intervals"](Study(votes_from_rows(rows), method="elo"))
    assert other.notes == ("There is no bootstrap of elo to compare with.",)


NAMES = st.sampled_from("abcde")
CELLS = st.tuples(NAMES, NAMES, st.sampled_from(["model_a", "model_b", "both_good", "both_bad"]),
                  st.sampled_from(["p", "q", None]), st.sampled_from(["u", "v", "w", None]))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(CELLS, max_size=40), st.sampled_from(["auto", "none", "prompt", "voter", "both"]),
       st.sampled_from([None, 1.5]))  # fmt: skip
def test_whatever_the_votes_no_interval_is_infinite(cells, clusters, cap):
    votes = votes_from_rows([row(a, b, winner, prompt_id=p, voter=v) for a, b, winner, p, v in cells])
    try:
        study = Study(votes, clusters=clusters, voter_cap=cap)
        for name in ("standings", "intervals", "components"):
            json.dumps(SHEETS[name](study).to_json(), allow_nan=False)
    except errors.UnknownChoice as error:
        assert "no vote has a" in str(error)
        return
    for line in study.board.standings:
        if line.rating is not None:
            assert line.rating_lower <= line.rating <= line.rating_upper
    assert not any("inf" in note.split() or "nan" in note.split() for note in study.board.notes)
