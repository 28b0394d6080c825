"""Owns what the pages tell of one image: its picture, where voters pointed, the words it misses, its votes, its settings.

What is private never comes: not by feedback (rich.Rich refuses it), not by the shelf of pictures, and an image whose
prompt is not known to anybody is not shown by its votes either.

A map is a mean over the voters who were asked where and those who rated too high to be asked, who point at nothing. So a
spot that one of twenty voters saw looks like one of twenty; who was asked other things is not among the twenty.
"""

from base64 import b64encode

import numpy as np

from leaderboard import errors
from leaderboard.battles import matching
from leaderboard.feedback import KINDS
from leaderboard.page.why import scores, tile
from leaderboard.rich import OVERALL
from leaderboard.sheet import plain, shown
from leaderboard.votes import A_WINS, B_WINS, BOTH_BAD, BOTH_GOOD

LARGE, SMALL = 1024, 320  # pixels of the longer side
CELLS, FEW_CELLS = 64, 32  # of a map, a side
MOST = 24  # pictures that come at once
PLACES = (("top left", "top", "top right"), ("left", "middle", "right"), ("bottom left", "bottom", "bottom right"))
LIKE_THESE = "95% interval, for voters like these"
GROUPS = ("category", "sub_category", "complexity")


def pictures(study, images):
    """{image id: {"src": data URL or None, "maps": as in `maps`}} of at most MOST images; what is not to be shown is
    not among them."""
    wanted = [name for name in images if isinstance(name, str)][:MOST] if isinstance(images, list) else []
    found = {}
    for image in wanted:
        about = _feedback(study, image)
        if about is not None:
            found[image] = {"src": source(study, image, SMALL) if about.prompt else None,
                            "maps": maps(study.rich, about, FEW_CELLS)}  # fmt: skip
    return found


def maps(rich, about, cells, trusted=False):
    """{kind: {"cells", "data": base64 of a byte a cell, 255 for one point a voter or more, row by row from the top; "most": the largest
    height, in points a voter, as a number and in words; "where": its place in words; "asked": answers to where; "voters" that it is the mean over}}, without
    kinds of which nobody was asked. `about` is the rich.ImageFeedback."""
    found = {}
    for kind in KINDS:
        asked = about.asked[kind]
        if not asked:
            continue
        share = rich.heatmap(about.image_id, kind, cells, trusted)
        row, column = np.unravel_index(int(share.argmax()), share.shape)
        most = float(share[row, column])
        found[kind] = {
            "cells": cells, "data": b64encode(np.rint(np.minimum(share, 1.0) * 255).astype(np.uint8).tobytes()).decode(),
            "most": plain(most), "shown": f"{most:.2f}", "asked": asked, "voters": about.heard[kind],
            "where": PLACES[3 * row // cells][3 * column // cells] if most > 0 else "",
        }  # fmt: skip
    return found


def image_page(study, image, trusted=False):
    """All that is known of an image; `told` is False where there is no feedback on it. Raises errors.UnknownChoice."""
    about, rows = _feedback(study, image), matching(study.votes, {"image": image})
    first = None if about else _from_votes(study, image, rows)
    if about is None and first is None:
        raise errors.UnknownChoice("there is no image of this id that may be shown")
    known = {"model": about.model, "prompt": about.prompt} if about else first
    groups = [getattr(about, name) for name in GROUPS] if about else first["groups"]
    picture = study.pictures.picture(image) if study.pictures is not None else None
    found = {
        "image": image, "model": known["model"], "name": study.name(known["model"]), "prompt": known["prompt"],
        "groups": [cell for cell in groups if cell], "told": about is not None,
        "src": source(study, image, LARGE) if known["prompt"] else None,
        "size": list(study.rich.size(image)), "made": _made(picture), "record": _record(study.votes, image, rows),
    }  # fmt: skip
    if about is None:
        return found
    rich = study.rich
    weights = [rich.trust.get(name, 1.0) for name in rich.feedback.voter.names]
    return found | {
        "feedback": about.feedback, "voters": about.voters, "trusted": bool(trusted),
        "maps": maps(rich, about, CELLS, trusted), "points": {kind: [[round(x, 3), round(y, 3)] for x, y in about.points[kind]] for kind in KINDS},
        "scores": scores(about.scores, LIKE_THESE), "asked_words": about.asked_words, "no_mistakes": about.no_mistakes,
        "words": [_word(word) for word in about.words], "light": sum(weight < 1 for weight in weights),
        "siblings": [tile(study, other) for other in siblings(rich, about)],
    }  # fmt: skip


def siblings(rich, about):
    """Ids of the other images with feedback on the same prompt, the best first."""
    names = rich.feedback.prompt_id.names
    if not about.prompt or about.prompt_id not in names:
        return []
    rows = rich.feedback.prompt_id.codes == names.index(about.prompt_id)
    open_to_all = np.unique(rich.feedback.image.codes[rows & ~rich.feedback.private])
    found = [rich.image(rich.feedback.image.names[code]) for code in open_to_all.tolist()]
    found = [one for one in found if one.image_id != about.image_id]
    found.sort(key=lambda one: (-(one.scores[OVERALL].mean or 0.0), one.model))
    return [one.image_id for one in found[:MOST]]


def source(study, image, *side):
    """The picture as a data URL, so many pixels a side; None where it is not (or not to be) shown."""
    data = study.pictures.thumbnail(image, *side) if study.pictures is not None else None
    if not data:
        return None
    return f"data:{kind(data)};base64,{b64encode(data).decode()}"


def kind(data):
    """The media type of an image's bytes, as a browser wants it."""
    if data[:4] == b"\x89PNG":
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" else "image/jpeg"


def _feedback(study, image):
    """The rich.ImageFeedback, or None where there is none that may be shown."""
    try:
        return study.rich.image(image)
    except errors.UnknownChoice:
        return None


def _from_votes(study, image, rows):
    """What the votes say of an image without feedback; None where that is nothing, or where it is private."""
    votes, rich = study.votes, study.rich.feedback
    if image in rich.image.names or not len(rows):  # with feedback, and not to be shown: private
        return None
    row = int(rows[0])
    prompt = _cell(votes.prompt, row)
    if not prompt:
        return None
    model = votes.model_a if _cell(votes.image_a, row) == image else votes.model_b
    return {"model": votes.models[model[row]], "prompt": prompt,
            "groups": [_cell(getattr(votes, name), row) for name in GROUPS]}  # fmt: skip


def _record(votes, image, rows):
    """How its battles ended: {"won", "lost", "both_good", "both_bad", "battles"}."""
    code = votes.image_b.names.index(image) if image in votes.image_b.names else None
    turned = votes.image_b.codes[rows] == code if code is not None else np.zeros(len(rows), bool)
    winner = votes.winner[rows]
    won = int(((winner == A_WINS) & ~turned).sum() + ((winner == B_WINS) & turned).sum())
    good, bad = int((winner == BOTH_GOOD).sum()), int((winner == BOTH_BAD).sum())
    return {"battles": len(rows), "won": won, "lost": len(rows) - won - good - bad, "both_good": good, "both_bad": bad}


def _made(picture):
    """[[what, value]] of the settings that made an image, as text."""
    if picture is None:
        return []
    found = [["size", f"{picture.width} × {picture.height}"]] if picture.width and picture.height else []
    if picture.seconds is not None:
        found.append(["seconds", f"{picture.seconds:.2f}"])
    if picture.hardware:
        found.append(["hardware", picture.hardware])
    return found + [[name.replace("_", " "), str(value)] for name, value in picture.arguments().items()]


def _word(word):
    return {
        "text": word.text, "asked": word.asked, "marked": word.marked, "share": plain(word.share),
        "shown": shown(word.share, "share"), "percent": "–" if word.share is None else f"{word.share:.0%}",
        "interval": "" if word.lower is None else f"{word.lower:.1%}–{word.upper:.1%}",
        "trusted": plain(word.trusted), "trusted_shown": shown(word.trusted, "share"),
        "trusted_percent": "–" if word.trusted is None else f"{word.trusted:.0%}",
        "weighted": shown(word.weighted, "number"),
    }  # fmt: skip


def _cell(column, row):
    code = column.codes[row]
    return column.names[code] if code >= 0 else None
