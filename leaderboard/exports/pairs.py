"""Owns pairs: the votes of a source by pair of images, and the one rule that makes a verdict of several voters.

Only what can be trained on is here: a vote must name both images, its prompt must be public, and both pictures must
be there; what is not is counted by reason.
"""

from collections import Counter
from dataclasses import dataclass, field

from leaderboard.columns import NO_TIME, iso
from leaderboard.votes import A_WINS, B_WINS, BOTH_BAD, BOTH_GOOD, OUTCOMES

TURNED = {A_WINS: B_WINS, B_WINS: A_WINS}
IMAGES = ("image_1", "image_2")
RESPONSE = {A_WINS: "image_1", B_WINS: "image_2", BOTH_GOOD: "both_good", BOTH_BAD: "both_bad"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One voter's outcome of a pair (a number that indexes OUTCOMES) as if image_1 had been on side a. `created_at` is
    ISO 8601 text or None; voter and vote_id are the source's."""

    outcome: int
    voter: str | None
    vote_id: str | None
    created_at: str | None
    left: str  # the image that was on side a


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images of one prompt, in the alphabetical order of their ids, which says nothing of who is better."""

    prompt: str
    prompt_id: str | None
    category: str | None
    sub_category: str | None
    complexity: str | None
    image_1: str
    image_2: str
    model_1: str
    model_2: str
    answers: list = field(default_factory=list)

    @property
    def pair_id(self):
        return f"{self.image_1}-{self.image_2}"

    def counts(self):
        """{outcome: votes} over all four outcomes."""
        return dict.fromkeys(range(len(OUTCOMES)), 0) | Counter(a.outcome for a in self.answers)

    def verdict(self):
        """`image_1`, `image_2`, or None for no clear winner.

        The rule of Open Image Preferences' binarised version: a "both good" counts one for either image, and an image
        wins whose count is above the other's and above that of "both bad"."""
        votes = self.counts()
        first, second = votes[A_WINS] + votes[BOTH_GOOD], votes[B_WINS] + votes[BOTH_GOOD]
        if first > max(second, votes[BOTH_BAD]):
            return "image_1"
        return "image_2" if second > max(first, votes[BOTH_BAD]) else None


@dataclass(frozen=True)
class Pairs:
    """`pairs` in the order of their first vote; `left_out` {reason: votes} that are in none."""

    pairs: list
    left_out: dict

    def decided(self, written):
        """(pair, chosen image, rejected image) where there is a verdict; the others are counted in `written`."""
        for pair in self.pairs:
            verdict = pair.verdict()
            if verdict is None:
                written.leave_out("pairs without a clear winner")
            else:
                other = IMAGES[verdict == "image_1"]
                yield pair, verdict, other


def pairs(votes, pictures):
    """Votes and the Pictures behind them -> Pairs."""
    left_out, found = Counter(), {}
    columns = {name: getattr(votes, name).to_pylist() for name in (
        "prompt", "prompt_id", "category", "sub_category", "complexity", "image_a", "image_b", "voter", "vote_id"
    )}  # fmt: skip
    here = {picture.image_id for picture in pictures.all()}
    models = votes.models
    for row in range(len(votes)):
        a, b, prompt = columns["image_a"][row], columns["image_b"][row], columns["prompt"][row]
        if not prompt:
            left_out["votes without their prompt (private, or not in the source)"] += 1
        elif not a or not b:
            left_out["votes without image ids"] += 1
        elif a not in here or b not in here:
            left_out["votes whose pictures are not in the source"] += 1
        else:
            first, second = sorted((a, b))
            key = columns["prompt_id"][row] or prompt, first, second
            if key not in found:
                of = {a: models[votes.model_a[row]], b: models[votes.model_b[row]]}
                about = (columns[name][row] for name in ("prompt_id", "category", "sub_category", "complexity"))
                found[key] = Pair(prompt, *about, first, second, of[first], of[second])
            outcome, when = int(votes.winner[row]), votes.created_at[row]
            found[key].answers.append(Answer(
                TURNED.get(outcome, outcome) if a != first else outcome, columns["voter"][row], columns["vote_id"][row],
                None if when == NO_TIME else iso(when), a))  # fmt: skip
    return Pairs(list(found.values()), dict(left_out))
