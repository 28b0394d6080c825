"""Boards of single criteria and what explains the votes: known boards, scikit-learn's regression, coverage."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import t as student_t

from leaderboard.contextual import Design, fit
from leaderboard.feedback import feedback_from_rows
from leaderboard.ratings import SCALE
from leaderboard.rich import Rich
from leaderboard.rich.paired import explained, one_sided, paired, votes_of
from leaderboard.sheets import SHEETS
from leaderboard.study import Study
from leaderboard.votes import votes_from_rows
from tests.leaderboard_feedback import CRITERIA, rate, world


def battle(number, a, b, winner="model_a", voter="u", **more):
    """A vote and the ratings (by model) of its two images."""
    (model_a, scores_a), (model_b, scores_b) = a, b
    vote = {"vote_id": f"v{number}", "battle_id": f"b{number}", "voter": voter, "mode": "anonymous", "winner": winner,
            "model_a": model_a, "model_b": model_b, "image_a": f"{number}a", "image_b": f"{number}b"} | more  # fmt: skip
    rows = [{"battle_id": f"b{number}", "voter": voter, "model": model, "image_id": f"{number}{side}", "prompt_id": "p",
             **scores} for side, model, scores in (("a", model_a, scores_a), ("b", model_b, scores_b))]  # fmt: skip
    return vote, rows


def made(*battles):
    votes = [vote for vote, _ in battles]
    return feedback_from_rows([row for _, rows in battles for row in rows], votes), votes


# -- boards -------------------------------------------------------------------------------------------------------


def test_the_higher_rating_wins_and_equal_ones_draw():
    feedback, _ = made(
        battle(1, ("x", {"style": 4, "coherence": 1}), ("y", {"style": 2, "coherence": 1}), "model_b"),
        battle(2, ("y", {"style": 1}), ("x", {"style": 5, "coherence": 3}), "both_bad"),
        battle(3, ("y", {"style": 3, "coherence": 2}), ("x", {"style": 3, "coherence": 1})),
    )
    pairs = paired(feedback)
    assert len(pairs.a) == 3 and feedback.side[pairs.a].tolist() == [0] * 3
    style = votes_of(feedback, pairs, "style")
    told = [
        (style.models[a], style.models[b], int(w))
        for a, b, w in zip(style.model_a, style.model_b, style.winner, strict=True)
    ]
    assert sorted(told) == [("x", "y", 0), ("y", "x", 1), ("y", "x", 2)]
    coherence = votes_of(feedback, pairs, "coherence")
    assert len(coherence) == 2, "where both images were rated"
    assert len(votes_of(feedback, pairs, "alignment")) == 0


def test_images_rated_by_different_voters_or_in_different_battles_are_no_pair():
    vote, rows = battle(1, ("x", {"style": 4}), ("y", {"style": 2}))
    other = [row | {"battle_id": "b9", "voter": "w"} for row in rows]
    alone = [rows[0], other[1]]
    assert len(paired(feedback_from_rows(alone)).a) == 0
    assert len(paired(feedback_from_rows(alone, [vote])).a) == 0
    twice = feedback_from_rows([rows[0], rows[0] | {"battle_id": "b2"}, rows[1]])
    assert len(paired(twice).a) == 1


def test_without_votes_pairs_are_known_and_winners_are_not():
    _, rows = battle(1, ("x", {"style": 4}), ("y", {"style": 2}))
    found = paired(feedback_from_rows(rows[::-1]))
    assert len(found.a) == 1 and found.winner.tolist() == [-1]


def test_who_speaks_of_one_image_alone_chooses_it_and_the_sheet_says_so():
    battles = [
        battle(at, ("x", {"style": 4}), ("y", {"style": 2}), ("model_a", "model_b", "both_bad")[at % 3])
        for at in range(30)
    ]
    kept = [(vote, rows if at < 20 else rows[1:]) for at, (vote, rows) in enumerate(battles)]
    feedback, votes = made(*kept)
    assert one_sided(feedback) == (30, 10, 6, 3), "y lost where model_a won: 21, 24 and 27"
    sheet = SHEETS["scores"](Study(votes_from_rows(votes), feedback=feedback))
    assert any(
        "10 of 30 battles" in note and "50% of the decided ones of the one that lost" in note for note in sheet.notes
    )
    both, _ = made(*battles)
    assert one_sided(both) == (30, 0, 0, 0) and one_sided(feedback_from_rows([])) == (0, 0, 0, 0)


def test_a_board_of_a_criterion_is_the_board_of_those_outcomes():
    from leaderboard.board import build

    world_ = world(seed=8, votes=500)
    rich = Rich(feedback_from_rows(world_.feedback, world_.votes, world_.exclusions))
    scores = {}
    for row in world_.feedback:
        scores[row["battle_id"], row["image_id"]] = row["style"]
    rows = []
    for vote in world_.votes[10:]:  # the first five are named, five more were withdrawn
        a, b = (scores[vote["battle_id"], vote[f"image_{side}"]] for side in "ab")
        winner = "model_a" if a > b else "model_b" if b > a else "both_good"
        rows.append(vote | {"winner": winner})
    wanted = build(votes_from_rows(rows)).standings
    assert [(r.model, r.votes, r.wins) for r in rich.boards["style"].rows] == [
        (r.model, r.votes, r.wins) for r in wanted
    ]
    assert [r.rating for r in rich.boards["style"].rows] == pytest.approx([r.rating for r in wanted])
    assert [r.rating_lower for r in rich.boards["style"].rows] == pytest.approx([r.rating_lower for r in wanted])


def test_reweighted_boards_of_criteria_weigh_battles_as_their_votes():
    """Three wins of likely pairs against one loss of an unlikely one: 3 x 2 to 1 x 6, on either board."""
    battles = [battle(at, ("x", {"style": 4}), ("y", {"style": 2}), voter=f"u{at}", vote_id=f"v{at}", pair_probability=1 / 2)
               for at in range(3)]  # fmt: skip
    battles += [battle(9, ("x", {"style": 1}), ("y", {"style": 2}), "model_b", pair_probability=1 / 6)]
    feedback, votes = made(*battles)
    for sampling, lead in (("as-served", 400 * math.log10(3)), ("reweighted", 0.0)):
        study = Study(votes_from_rows(votes), feedback=feedback, sampling=sampling)
        rows = {row["model"]: row for row in SHEETS["criteria"](study).rows}
        for name in ("overall", "style"):
            assert rows["x"][name] - rows["y"][name] == pytest.approx(lead, abs=1e-6), (sampling, name)


def test_the_sheet_shows_the_boards_beside_the_overall_one():
    world_ = world(seed=8, votes=400)
    study = Study(votes_from_rows(world_.votes, world_.exclusions), method="elo",
                  feedback=feedback_from_rows(world_.feedback, world_.votes, world_.exclusions))  # fmt: skip
    rows = {row["model"]: row for row in SHEETS["criteria"](study).rows}
    plain = Study(study.votes).board.standings
    assert {row.model: row.rating for row in plain} == {model: row["overall"] for model, row in rows.items()}
    for line in study.rich.boards["coherence"].rows:
        row = rows[line.model]
        assert (row["coherence"], row["coherence_lower"]) == (line.rating, line.rating_lower)


# -- what explains the votes --------------------------------------------------------------------------------------


def simulated(rng, votes=500, voters=40, taste=(0.3, 0.9, 0.6), heavy=False, tastes=0.0):
    """Feedback and votes whose winner follows the ratings by these log odds a point; voters' own tastes differ."""
    activity = rng.lognormal(0, 1 if heavy else 0, voters)
    own = np.array(taste) + rng.normal(0, tastes, (voters, 3))
    battles = []
    for number, voter in enumerate(rng.choice(voters, votes, p=activity / activity.sum()).tolist()):
        models = rng.choice(4, 2, replace=False)
        a, b = (rate(2.4 + 0.4 * model + rng.normal(0, 0.7, 3), 0.0, rng) for model in models)
        chance = 1 / (1 + math.exp(-float(own[voter] @ (a - b))))
        winner = "model_a" if rng.random() < chance else "model_b"
        sides = [(f"m{model}", dict(zip(CRITERIA, map(int, scores), strict=True)))
                 for model, scores in zip(models, (a, b), strict=True)]  # fmt: skip
        battles.append(battle(number, *sides, winner, voter=f"u{voter}"))
    return made(*battles)[0]


def test_effects_are_those_of_a_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    world_ = world(seed=6, votes=500)
    feedback = feedback_from_rows(world_.feedback, world_.votes, world_.exclusions)
    pairs = paired(feedback)
    found = explained(feedback, pairs)
    x = np.column_stack([np.ones(len(pairs.a)), feedback.scores[pairs.a] - feedback.scores[pairs.b]])
    score = np.array([1.0, 0.0, 0.5, 0.5])[pairs.winner]
    rows, answer = np.vstack([x, x]), np.repeat([1, 0], len(x))
    weight = np.concatenate([score, 1 - score])  # a draw is half a win and half a loss

    def fitted(columns):
        model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=10_000)
        model.fit(rows[:, columns], answer, weight)
        chance = model.predict_proba(rows[:, columns])[:, 1]
        return model.coef_[0], -2 * weight @ np.where(answer == 1, np.log(chance), np.log(1 - chance))

    beta, deviance = fitted([0, 1, 2, 3])
    _, least = fitted([0])
    assert {effect.criterion: effect.effect for effect in found.effects} == pytest.approx(
        dict(zip(CRITERIA, SCALE * beta[1:], strict=True)), rel=1e-3
    )
    assert found.share == pytest.approx(1 - deviance / least, abs=1e-5)
    for effect in found.effects:
        at = 1 + CRITERIA.index(effect.criterion)
        assert effect.alone == pytest.approx(1 - fitted([0, at])[1] / least, abs=1e-5)
        others = fitted([k for k in range(4) if k != at])[1]
        assert effect.adds == pytest.approx((others - deviance) / least, abs=1e-5)
        assert effect.lower < effect.effect < effect.upper
    assert found.effects[0].criterion == "coherence", "what these voters care for most"


def newton(x, score):
    """Coefficients of a logistic regression, with nothing of the library's."""
    beta = np.zeros(x.shape[1])
    for _ in range(40):
        chance = 1 / (1 + np.exp(-x @ beta))
        beta = beta + np.linalg.solve((x * (chance * (1 - chance))[:, None]).T @ x, x.T @ (score - chance))
    return beta


def test_intervals_are_those_of_fits_without_each_voter():
    """The sandwich is a jackknife over voters, done in one step."""
    feedback = simulated(np.random.default_rng(3), votes=400, voters=15)
    pairs = paired(feedback)
    found = explained(feedback, pairs)
    x = np.column_stack([np.ones(400), feedback.scores[pairs.a] - feedback.scores[pairs.b]])
    score, voter = (pairs.winner == 0).astype(float), feedback.voter.codes[pairs.a]
    beta = newton(x, score)
    without = np.array([newton(x[voter != code], score[voter != code]) for code in np.unique(voter)])
    moved = without - beta
    deviation = np.sqrt((moved**2).sum(axis=0))
    degrees = np.minimum(3 * (moved**2).sum(axis=0) ** 2 / (moved**4).sum(axis=0), 14)
    for effect in found.effects:
        at = 1 + CRITERIA.index(effect.criterion)
        assert effect.effect == pytest.approx(SCALE * beta[at], rel=1e-6)
        half = SCALE * student_t.ppf(0.975, degrees[at]) * deviation[at]
        assert effect.upper - effect.effect == pytest.approx(half, rel=0.05)
    assert (found.voters, found.votes) == (15, 400)


@pytest.mark.parametrize(("heavy", "tastes"), [(False, 0.0), (True, 0.0), (True, 0.3)])
def test_an_effects_interval_holds_the_truth_in_95_of_100_cases(heavy, tastes):
    """Where voters' tastes differ, the truth is what a fit of very many voters gives."""
    rng, hits = np.random.default_rng(7), []
    truth = dict(zip(CRITERIA, SCALE * np.array([0.3, 0.9, 0.6]), strict=True))
    if tastes:
        many = simulated(rng, votes=5_000, voters=2_500, tastes=tastes)
        truth = {effect.criterion: effect.effect for effect in explained(many, paired(many)).effects}
    for _ in range(40):
        feedback = simulated(rng, votes=400, heavy=heavy, tastes=tastes)
        for effect in explained(feedback, paired(feedback)).effects:
            hits.append(effect.lower <= truth[effect.criterion] <= effect.upper)
    assert np.mean(hits) >= 0.91, np.mean(hits)


def on_prompts(rng, votes=400, voters=40, prompts=15, appeal=1.0):
    """Feedback on few prompts, whose images have an appeal (log odds) that no rating tells of."""
    quality, more = rng.normal(3, 0.8, (prompts, 4, 3)), rng.normal(0, appeal, (prompts, 4))
    battles = []
    for number in range(votes):
        prompt, (i, j) = rng.integers(prompts), rng.choice(4, 2, replace=False)
        a, b = (np.clip(np.rint(quality[prompt, m] + rng.normal(0, 0.5, 3)), 1, 5).astype(int) for m in (i, j))
        odds = float(np.dot((0.3, 0.9, 0.6), a - b) + more[prompt, i] - more[prompt, j])
        winner = "model_a" if rng.random() < 1 / (1 + math.exp(-odds)) else "model_b"
        sides = [(f"m{m}", dict(zip(CRITERIA, s.tolist(), strict=True))) for m, s in ((i, a), (j, b))]
        vote, rows = battle(number, *sides, winner, voter=f"u{rng.integers(voters)}")
        battles.append((vote, [row | {"prompt_id": f"p{prompt}"} for row in rows]))
    return made(*battles)[0]


def test_votes_on_few_prompts_prove_less():
    """Votes on one prompt share what its images have beyond their ratings; taken for independent, 95% intervals held 85%."""
    many = on_prompts(np.random.default_rng(1), votes=6_000, voters=3_000, prompts=6_000)
    truth = {effect.criterion: effect.effect for effect in explained(many, paired(many)).effects}
    hits, within = [], []
    for seed in range(30):
        feedback = on_prompts(np.random.default_rng([2, seed]))
        for effect in explained(feedback, paired(feedback)).effects:
            hits.append(effect.lower <= truth[effect.criterion] <= effect.upper)
            within.append(effect.within_lower <= truth[effect.criterion] <= effect.within_upper)
    assert np.mean(hits) > 0.91 and np.mean(within) > 0.91, (np.mean(hits), np.mean(within))


def test_with_the_models_held_what_is_left_is_between_images():
    """Votes that follow the models alone: ratings explain them, but not within models."""
    rng = np.random.default_rng(5)
    battles = []
    for number in range(900):
        models = rng.choice(4, 2, replace=False)
        a, b = (rate(1.5 + model + rng.normal(0, 0.3, 3), 0.0, rng) for model in models)
        winner = "model_a" if rng.random() < 1 / (1 + math.exp(float(models[1] - models[0]))) else "model_b"
        sides = [(f"m{model}", {"coherence": int(scores[1])}) for model, scores in zip(models, (a, b), strict=True)]
        battles.append(battle(number, *sides, winner, voter=f"u{number % 50}"))
    feedback, _ = made(*battles)
    (effect,) = explained(feedback, paired(feedback)).effects
    assert effect.lower > 50 and effect.p < 0.001 and effect.adds == pytest.approx(effect.alone)
    assert effect.within_lower < 0 < effect.within_upper or abs(effect.within) < 40


def separated(x, score):
    """Whether some direction tells wins from losses without an exception, by linear programming (Konis 2007)."""
    sign = np.where(score == 0.5, 0.0, np.sign(score - 0.5))
    decided, even = x[sign != 0] * sign[sign != 0][:, None], x[sign == 0]
    if not len(decided):
        return False
    found = linprog(-decided.sum(axis=0), decided * -1, np.zeros(len(decided)), even if len(even) else None,
                    np.zeros(len(even)) if len(even) else None, bounds=[(-1, 1)] * x.shape[1])  # fmt: skip
    return -found.fun > 1e-7


def test_no_finite_effect_is_given_where_the_ratings_decide_votes_alone():
    """Few votes, few different ratings: what has no finite maximum is refused, and hardly anything else."""
    rng, seen, wrong = np.random.default_rng(0), [0, 0], 0
    for trial in range(400):
        votes, size = int(rng.integers(20, 60)), int(rng.integers(1, 4))
        difference = rng.integers(-4, 5, (votes, size)).astype(float)
        if trial % 2:
            difference = np.where(rng.random((votes, size)) < 0.6, 0.0, np.sign(difference) * 4)
        x = np.column_stack([np.ones(votes), difference])
        if np.linalg.matrix_rank(x) < size + 1:
            continue
        score = (rng.random(votes) < 1 / (1 + np.exp(-x @ rng.normal(0, [0.4, *[1.5] * size])))).astype(float)
        score[rng.random(votes) < 0.05] = 0.5
        side = np.zeros(votes, np.int64)
        parameters, _ = fit(Design(side, side, score, np.ones(votes), x, 1))
        apart = bool(separated(x, score))
        seen[apart] += 1
        assert not (apart and parameters is not None), (trial, parameters)
        wrong += parameters is None and not apart
    assert min(seen) > 80 and wrong <= 4, (seen, wrong)


def test_criteria_that_different_voters_are_asked_are_not_waited_for():
    """Half the voters rate style alone, half coherence and alignment: the larger set is told of, the other is named."""
    rng, battles = np.random.default_rng(4), []
    for number in range(400):
        asked = ("style",) if number % 2 else ("coherence", "alignment")
        a, b = (dict.fromkeys(asked, 0) | {name: int(rng.integers(1, 6)) for name in asked} for _ in "ab")
        odds = sum(a[name] - b[name] for name in asked) / 2
        winner = "model_a" if rng.random() < 1 / (1 + math.exp(-odds)) else "model_b"
        battles.append(battle(number, ("x", a), ("y", b), winner, voter=f"u{number % 40}"))
    feedback, _ = made(*battles)
    found = explained(feedback, paired(feedback))
    assert {effect.criterion for effect in found.effects} == {"coherence", "alignment"} and found.apart == ("style",)
    assert found.votes == 200 and all(effect.lower > 0 for effect in found.effects)
    never = replace(feedback, scores=np.column_stack([np.full(len(feedback), 3.0), feedback.scores[:, 1:]]))
    assert explained(never, paired(never)).apart == ("style",), "always rated alike: nothing can be told of it"


def test_what_can_not_be_told_is_not_told():
    empty = feedback_from_rows([])
    assert "needed" in explained(empty, paired(empty)).refused
    decided = [
        battle(at, ("x", {"style": 4 + at % 2}), ("y", {"style": 1 + at % 3}), voter=f"u{at % 9}") for at in range(60)
    ]
    feedback, _ = made(*decided)
    found = explained(feedback, paired(feedback))
    assert not found.effects and "decide the votes alone" in found.refused
    rng = np.random.default_rng(0)
    same = simulated(rng, votes=200)
    same = replace(same, scores=np.repeat(same.scores[:, :1], 3, axis=1))
    assert "follow from one another" in explained(same, paired(same)).refused
