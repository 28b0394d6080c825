"""Owns what the pages tell of feedback on models: a card of each, a model's own page, and what decides the votes."""

import numpy as np

from leaderboard import errors
from leaderboard.feedback_formats import CRITERIA
from leaderboard.page.blocks import interval
from leaderboard.rich import OVERALL, SHOWN
from leaderboard.sheet import plain, shown
from leaderboard.sheets.rich import ABOUT, LIKE_THESE, notes_of
from leaderboard.tally import UNGROUPED

CARD_IMAGES, CARD_WORDS = 4, 3
PAGE_IMAGES = 12  # worst, and as many best
PAGE_WORDS = 15
WIDEST = 1.5  # points of rating: a wider interval says too little of a group to name it on a card
OFTEN = 0.2  # a word that this share of answers names is missed, also where everybody misses it


def cards(study):
    """{"kind": "cards", "cards", "criteria", "notes"}: a card of every model with feedback, the best first."""
    rich = study.rich
    found = [_card(study, part, ranked) for part, ranked in zip(rich.models(), _worst(rich), strict=True)]
    return {"kind": "cards", "name": "cards", "title": "Models", "criteria": criteria(rich), "cards": found,
            "notes": list(notes_of(rich)) if rich.feedback.total else []}  # fmt: skip


def criteria(rich):
    """[{"key", "title", "explain"}] of the overall mean and of the criteria that anybody rated."""
    asked = [name for name in (OVERALL, *CRITERIA) if rich.norms[name][0] is not None]
    return [
        {"key": name, "title": name, "explain": f"{ABOUT[name]}; a voter counts once on an image."} for name in asked
    ]


def score(found, criterion, speaks_of=LIKE_THESE):
    """A rich.Score for the page: numbers, and the same in words; `speaks_of` says what its interval is."""
    cell = _number(found.mean, found.lower, found.upper) | {
        "trusted": _number(found.trusted, found.trusted_lower, found.trusted_upper),
        "norm": _number(found.normalised),
        "ratings": found.ratings, "voters": found.voters, "images": found.images,
        "explain": f"{ABOUT[criterion]}. In brackets: {speaks_of}.",
    }  # fmt: skip
    return cell


def scores(found, speaks_of=LIKE_THESE):
    """{criterion: score} of those that are known."""
    return {name: score(found[name], name, speaks_of) for name in SHOWN if found[name].mean is not None}


def telling(rich, model):
    """The words.Missed of a model that say something of it, the surest first: named often, or surely more often than for
    all models. A word that nearly nobody names is no fault."""
    return [word for word in rich.missed_words
            if word.model == model and word.marked and (word.share >= OFTEN or word.lower > word.everybody)]  # fmt: skip


def group_of(part):
    """A model's part in one group, for the page."""
    return {"group": part.group, "score": score(part.scores[OVERALL], OVERALL), "feedback": part.feedback,
            "images": part.images, "others": _number(part.others[OVERALL]), "sure": _is_sure(part.scores[OVERALL])}  # fmt: skip


def model_page(study, model):
    """All that feedback says of a model, and its place in the standings; `told` is False where there is no feedback on it.
    Raises errors.UnknownChoice for a model that nothing knows."""
    rich = study.rich
    part = next((part for part in rich.models() if part.model == model), None)
    line = next((row for row in study.board.standings if row.model == model), None)
    if part is None and line is None and model not in study.models:
        raise errors.UnknownChoice(f"there is no model called {model!r}")
    found = {"model": model, "name": study.name(model), "told": part is not None,
             "standing": _standing(line, len(study.board.standings)) if line else None}  # fmt: skip
    if part is None:
        return found
    ranked = rich.ranked_images(model)
    half = min(PAGE_IMAGES, (len(ranked) + 1) // 2)
    names = criteria(rich)
    return found | {
        "criteria": names, "feedback": part.feedback, "images": part.images, "voters": part.voters,
        "scores": scores(part.scores),
        "norms": {name: [shown(end, "number") for end in rich.norms[name]] for name in part.scores},
        "others": {name: _number(mean) for name, mean in part.others.items()},
        "all": {entry["key"]: [{"model": other.model, "name": study.name(other.model), "score": score(other.scores[entry["key"]], entry["key"])}
                               for other in sorted(rich.models(), key=lambda other: -(other.scores[entry["key"]].mean or 0))
                               if other.scores[entry["key"]].mean is not None] for entry in names},
        "words": [_word(word) for word in telling(rich, model)[:PAGE_WORDS]],
        "asked_words": any(word.model == model for word in rich.missed_words),
        "groups": sorted((group_of(one) for one in rich.groups if one.model == model and one.scores[OVERALL].mean is not None),
                         key=lambda group: not group["sure"]),
        "by": study.by.replace("_", "-"),
        "worst": [tile(study, image) for image in ranked[:half]],
        "best": [tile(study, image) for image in ranked[::-1][:half]],
        "light": sum(weight < 1 for weight in (rich.trust.get(name, 1.0) for name in rich.feedback.voter.names)),
    }  # fmt: skip


def decided(study, model):
    """What decides the votes: a model's row on the board of each criterion, and the regression of all votes."""
    rich, found = study.rich, []
    for name in CRITERIA:
        if name in rich.boards:
            rows = rich.boards[name].rows
            line = next((row for row in rows if row.model == model), None)
            if line is not None:
                found.append({"criterion": name} | _standing(line, len(rows)))
    told = rich.explained
    effects = [
        {"criterion": one.criterion, "effect": _number(one.effect, one.lower, one.upper, "signed"),
         "alone": shown(one.alone, "share"), "adds": shown(one.adds, "share"), "p": shown(one.p, "p"),
         "within": _number(one.within, one.within_lower, one.within_upper, "signed")} for one in told.effects
    ]  # fmt: skip
    return {"boards": found, "effects": effects, "share": shown(told.share, "share"),
            "right": shown(told.right, "share"), "votes": told.votes, "voters": told.voters,
            "refused": told.refused, "apart": list(told.apart)}  # fmt: skip


def tile(study, image_id):
    """An image in a strip: whose it is, its prompt, and its overall score."""
    found = study.rich.image(image_id)
    return {"image": image_id, "model": found.model, "name": study.name(found.model), "prompt": found.prompt,
            "score": score(found.scores[OVERALL], OVERALL, "95% interval, for voters like these"),
            "voters": found.voters}  # fmt: skip


BLOCKS = {"cards": cards}


def _card(study, part, ranked):
    rich = study.rich
    groups = [one for one in rich.groups
              if one.model == part.model and one.group != UNGROUPED and _is_sure(one.scores[OVERALL])]  # fmt: skip
    return {
        "model": part.model, "name": study.name(part.model), "feedback": part.feedback, "images": part.images,
        "voters": part.voters, "scores": scores(part.scores),
        "others": {name: _number(mean) for name, mean in part.others.items()},
        "weakest": group_of(groups[0]) if len(groups) > 1 else None, "by": study.by.replace("_", "-"),
        "words": [_word(word) for word in telling(rich, part.model)[:CARD_WORDS]],
        "asked_words": any(word.model == part.model for word in rich.missed_words),
        "worst": [tile(study, image) for image in ranked[:CARD_IMAGES]],
    }  # fmt: skip


def _is_sure(found):
    """Whether a mean is known well enough to be called the weakest of several."""
    return found.lower is not None and found.upper - found.lower <= WIDEST


def _worst(rich):
    """Of every model in the order of rich.models() the ids of its images, the worst first."""
    feedback, found = rich.feedback, {part.model: [] for part in rich.models()}
    owner = np.empty(len(feedback.image.names), np.int64)
    owner[feedback.image.codes] = feedback.model.codes
    owners = dict(zip(feedback.image.names, owner.tolist(), strict=True))
    for image in rich.ranked_images():
        found[feedback.model.names[owners[image]]].append(image)
    return found.values()


def _word(word):
    return {"word": word.word, "share": _number(word.share, word.lower, word.upper, "share"), "marked": word.marked,
            "answers": word.answers, "images": word.images, "trusted": _number(word.trusted, kind="share"),
            "everybody": _number(word.everybody, kind="share"),
            "more": word.lower > word.everybody}  # fmt: skip


def _standing(line, models):
    return {"rank": line.rank, "rank_lower": line.rank_lower, "rank_upper": line.rank_upper, "models": models,
            "rating": _number(line.rating, line.rating_lower, line.rating_upper, "points"), "votes": line.votes,
            "preliminary": bool(line.preliminary)}  # fmt: skip


def _number(value, low=None, high=None, kind="number"):
    """{"value", "shown", "lower", "upper", "interval"}: numbers and the same in words, None and '' where not known."""
    return {"value": plain(value), "shown": shown(value, kind), "lower": plain(low), "upper": plain(high),
            "interval": interval(low, high, kind)}  # fmt: skip
