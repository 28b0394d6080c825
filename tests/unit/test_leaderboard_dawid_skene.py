"""Trust beside the model that the field compares with: Dawid and Skene (1979), who estimate from the answers alone how
often each voter says what, and what is true. It is fitted here by its own EM steps; the arena does not use it."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from leaderboard.agreement import ballots
from leaderboard.trust import trust
from leaderboard.votes import OUTCOMES, read_votes, votes_from_rows
from tests.leaderboard_crowd import says
from tests.leaderboard_rows import row

LLMFAO = Path(__file__).parents[3] / "shared" / "data" / "llmfao" / "crowd-comparisons.csv"


def dawid_skene(item, voter, label, labels, rounds=60):
    """(float64 [items, labels], the probability of each true label; float64 [voters, labels, labels], what each voter
    says to each truth) by expectation-maximisation from the majority's answers, a hundredth added to each count."""
    items, voters = item.max() + 1, voter.max() + 1
    truth = np.zeros((items, labels))
    np.add.at(truth, (item, label), 1)
    truth /= truth.sum(1, keepdims=True)
    for _ in range(rounds):
        says_to = np.full((voters, labels, labels), 0.01)
        np.add.at(says_to, (voter, slice(None), label), truth[item])
        says_to /= says_to.sum(2, keepdims=True)
        log = np.tile(np.log(truth.mean(0) + 1e-12), (items, 1))
        np.add.at(log, item, np.log(says_to[voter, :, label]))
        truth = np.exp(log - log.max(1, keepdims=True))
        truth /= truth.sum(1, keepdims=True)
    return truth, says_to


def accuracy_of(truth, says_to):
    """How often each voter says what is true, on average over what is true."""
    return np.einsum("vll,l->v", says_to, truth.mean(0))


def simulated(rng, adversarial=0.15, careless=0.2, pairs=400, voters=60, overlap=6, gold=8):
    """(votes, kind of each voter, the true outcome of each pair): an honest voter is right four times in five, or so."""
    kind = rng.permutation(np.repeat(["adversarial", "careless", "honest"], [
        round(adversarial * voters), round(careless * voters),
        voters - round(adversarial * voters) - round(careless * voters),
    ]))  # fmt: skip
    rows, truth = [], {}

    def seen(answer):
        return answer if rng.random() < 0.75 else OUTCOMES[rng.integers(4)]

    for pair in range(pairs):
        truth[f"p{pair}"] = OUTCOMES[rng.integers(2)]
        for voter in rng.choice(voters, overlap, replace=False):
            answer = says(kind[voter], seen(truth[f"p{pair}"]), rng)
            rows.append(row("m0", "m1", answer, voter=f"u{voter}", pair_id=f"p{pair}"))
    for voter in range(voters):
        for task in rng.choice(16, gold, replace=False):
            answer = OUTCOMES[task % 2]
            rows.append(row("m0", "m1", says(kind[voter], seen(answer), rng), voter=f"u{voter}", gold=answer,
                            pair_id=f"gold {task}"))  # fmt: skip
    return votes_from_rows(rows), {f"u{at}": name for at, name in enumerate(kind)}, truth


def fitted(votes):
    """(voters by name, their accuracy, the label of each pair) after Dawid and Skene."""
    found = ballots(votes)
    truth, says_to = dawid_skene(found.pair, found.voter, found.outcome, len(OUTCOMES))
    return votes.voter.names, accuracy_of(truth, says_to), truth.argmax(1), found


@pytest.mark.parametrize("seed", range(3))
def test_trust_finds_whom_dawid_and_skene_find(seed):
    votes, kind, truth = simulated(np.random.default_rng(seed))
    names, accuracy, labels, found = fitted(votes)
    weights = trust(votes, agreement=True)
    of = dict(zip(weights.voters.ids, weights.weight.tolist(), strict=True))
    gold = dict(zip(weights.voters.ids, weights.by_gold.tolist(), strict=True))
    # Weights are cut at 1, so honest voters tie at the top: what is compared is who is below it.
    bad = np.array([kind[name] != "honest" for name in names])
    assert np.mean([of[name] for name in np.array(names)[~bad]]) > 0.9
    assert np.mean([of[name] for name in np.array(names)[bad]]) < 0.5
    assert spearmanr([of[name] for name in names], accuracy).statistic > 0.6
    assert spearmanr([gold[name] for name in names], accuracy).statistic > 0.4

    # The true outcome of each pair: by plain majority, by weighted majority, and by Dawid and Skene.
    weight = np.array([of[name] for name in names])[found.voter]
    right = {}
    for how, each in (("majority", np.ones(len(weight))), ("weighted", weight)):
        score = np.zeros((len(labels), len(OUTCOMES)))
        np.add.at(score, (found.pair, found.outcome), each)
        right[how] = score.argmax(1)
    known = {}
    for at, row_ in zip(found.pair.tolist(), found.row.tolist(), strict=True):
        known[at] = OUTCOMES.index(truth[votes.pair_id.names[votes.pair_id.codes[row_]]])
    true = np.array([known[at] for at in range(len(labels))])
    share = {how: float(np.mean(found_ == true)) for how, found_ in (right | {"dawid-skene": labels}).items()}
    print(share)
    assert share["weighted"] > share["majority"] + 0.02
    assert share["weighted"] > share["dawid-skene"] - 0.05


def test_where_all_are_honest_neither_finds_anybody():
    votes, _, _ = simulated(np.random.default_rng(7), adversarial=0, careless=0)
    _, accuracy, _, _ = fitted(votes)
    weight = trust(votes, agreement=True).weight
    assert weight.mean() > 0.9 and np.quantile(weight, 0.1) > 0.7 and accuracy.min() > 0.5


@pytest.mark.skipif(not LLMFAO.exists(), reason="../shared/data/llmfao is not here")
def test_on_real_voters_trust_goes_with_dawid_and_skene():
    votes = read_votes(LLMFAO)
    names, accuracy, _, _ = fitted(votes)
    weights = trust(votes, agreement=True)
    of = dict(zip(weights.voters.ids, weights.weight.tolist(), strict=True))
    assert len(names) == 124 and not votes.gold_tasks and (trust(votes).weight == 1).all()
    below = np.array([of[name] < 1 for name in names])
    rank = spearmanr([of[name] for name in names], accuracy).statistic
    print(f"{below.sum()} of 124 weigh less; rank correlation {rank:.2f}; mean accuracy after Dawid and Skene "
          f"{accuracy[below].mean():.2f} of those, {accuracy[~below].mean():.2f} of the others")  # fmt: skip
    assert accuracy[below].mean() < accuracy[~below].mean()
