"""Owns the sheets of feedback on models and images: scores, with trust, by group, missed words, images."""

from leaderboard.columns import plural
from leaderboard.feedback_formats import CRITERIA
from leaderboard.rich import OVERALL, SHOWN
from leaderboard.rich.paired import one_sided
from leaderboard.rich.values import asked_apart
from leaderboard.sheet import Column, Sheet

ABOUT = {
    "style": "Mean rating of style, 1 to 5",
    "coherence": "Mean rating of coherence, 1 (many errors) to 5 (none)",
    "alignment": "Mean rating of how well the image follows its prompt, 1 to 5",
    OVERALL: "Mean over each voter's ratings of an image",
}
BOUNDS = {"lower": ("from", "Lower"), "upper": ("to", "Upper")}
LIKE_THESE = "95% interval, for voters and prompts like these"
FEEDBACK = Column("feedback", "feedback", "How many times a voter said something of an image.", "count")
VOTERS = Column("voters", "voters", "Different voters who did.", "count")
MOST_ONE_SIDED = 0.1  # of the battles with feedback
IMAGES = Column("images", "images", "Different images of which they did.", "count")
MODEL = Column("model", "model", "The contender.")


def _asked(rich):
    """The overall mean and the criteria that anybody rated; all where nobody rated anything."""
    names = (OVERALL, *CRITERIA)
    return [name for name in names if rich.norms[name][0] is not None] or list(names)


def _scores(rich, interval):
    """A column for each criterion that was asked, with the ends of its interval."""
    found = []
    for name in _asked(rich):
        found.append(Column(name, name, f"{ABOUT[name]}; a voter counts once on an image.", "number"))
        for end, (title, words) in BOUNDS.items():
            found.append(Column(f"{name}_{end}", title, f"{words} end of the {name}'s {interval}.", "number"))
    return tuple(found)


def _cells(found):
    """The cells of _scores from {criterion: Score}."""
    parts = {"": "mean", "_lower": "lower", "_upper": "upper"}
    return {f"{name}{end}": getattr(found[name], part) for name in SHOWN for end, part in parts.items()}


def notes_of(rich):
    """What a reader must know of the feedback: how much there is, what was left out, and what was known before."""
    feedback = rich.feedback
    notes = list(feedback.notes)
    if not feedback.total:
        return ("There is no feedback in this source.",)
    if feedback.left_out:
        left = ", ".join(f"{count:,} {reason}" for reason, count in feedback.left_out.items())
        notes.append(f"{len(feedback):,} of {plural(feedback.total, 'row counts', 'rows count')}; left out: {left}.")
    if shown := int(feedback.revealed.sum()):
        notes.append(f"{plural(shown, 'row was', 'rows were')} given after the models' names were shown.")
    if asked_apart(feedback):
        notes.append(
            "Voters were asked for different criteria: overall takes off how much lower or higher each criterion is rated."
        )
    if late := rich.settling:
        notes.append(
            f"{plural(late, 'row goes', 'rows go')} with votes that settle a disagreement, so that images of near pairs count "
            "more often; --sampling reweighted leaves them out."
        )
    battles, one, decided, lost = one_sided(feedback)
    if one > MOST_ONE_SIDED * battles:
        which = f", in {lost / decided:.0%} of the decided ones of the one that lost" if decided else ""
        notes.append(
            f"In {one:,} of {plural(battles, 'battle', 'battles')} voters spoke of one image alone{which}: means are of images that "
            "they chose to rate, and the boards of criteria leave such battles out."
        )
    if alone := int((feedback.voter.codes < 0).sum()):
        notes.append(
            f"{plural(alone, 'row has', 'rows have')} no voter; those of a battle are taken as another voter's."
        )
    return tuple(notes)


def scores(study):
    """Every model's mean ratings, the best overall first."""
    columns = (MODEL, *_scores(study.rich, LIKE_THESE), FEEDBACK, IMAGES, VOTERS)
    columns += tuple(
        Column(f"{name}_norm", f"{name}, 0 to 1", f"The {name} less the mean of the data set's worst image, over the span "
               "from that to its best image.", "number")
        for name in _asked(study.rich)
    )  # fmt: skip
    rows = []
    for part in study.rich.models():
        norms = {f"{name}_norm": part.scores[name].normalised for name in _asked(study.rich)}
        row = {"model": part.model, "feedback": part.feedback, "images": part.images, "voters": part.voters}
        rows.append(row | _cells(part.scores) | norms | {"battles": {"model_a": part.model}})
    caption = "Ratings that voters gave to single images after their vote, with 95% intervals."
    return Sheet("scores", "What voters say of the models", caption, columns, tuple(rows), notes_of(study.rich))


def weighted(study):
    """Every model's means with every voter weighing the same, and with voters weighing what they are trusted."""
    columns = [MODEL]
    for name in _asked(study.rich):
        columns += [
            Column(name, name, f"{ABOUT[name]}, every voter weighing the same.", "number"),
            Column(f"{name}_trusted", "trusted", f"The {name} with voters weighing what they are trusted.", "number"),
            Column(f"{name}_trusted_lower", "from", f"Lower end of the trusted {name}'s {LIKE_THESE}.", "number"),
            Column(f"{name}_trusted_upper", "to", f"Upper end of the trusted {name}'s {LIKE_THESE}.", "number"),
        ]
    rows = []
    for part in study.rich.models():
        row = {"model": part.model}
        for name in _asked(study.rich):
            score = part.scores[name]
            row |= {
                name: score.mean,
                f"{name}_trusted": score.trusted,
                f"{name}_trusted_lower": score.trusted_lower,
                f"{name}_trusted_upper": score.trusted_upper,
            }
        rows.append(row)
    weights = [study.rich.trust.get(name, 1.0) for name in study.rich.feedback.voter.names]
    low = sum(weight < 1 for weight in weights)
    notes = (f"Of {plural(len(weights), 'voter', 'voters')}, {low:,} {'weighs' if low == 1 else 'weigh'} less than 1.",)
    caption = "Weights come from answers to tasks whose answer is known; whoever was asked none weighs 1."
    return Sheet("weighted", "Ratings with and without trust", caption, tuple(columns), tuple(rows), notes)


def weaknesses(study):
    """Every model in every group, its weakest first."""
    word = study.by.replace("_", "-")
    columns = (
        MODEL,
        Column(study.by, word, f"The prompt's {word}."),
        *_scores(study.rich, LIKE_THESE),
        Column("others", "others", f"Overall mean of all other models in this {word}.", "number"),
        Column("difference", "difference", "The model's overall mean less the others'.", "number"),
        FEEDBACK,
        IMAGES,
    )
    rows = []
    for part in study.rich.groups:
        mean, others = part.scores[OVERALL].mean, part.others[OVERALL]
        both = mean is not None and others is not None
        row = {"model": part.model, study.by: part.group, "feedback": part.feedback, "images": part.images}
        row |= {"others": others, "difference": mean - others if both else None}
        rows.append(row | _cells(part.scores) | {"battles": {"model_a": part.model, study.by: part.group}})
    caption = (
        "A model's lowest overall mean comes first. A group that is hard for everybody is low for the others, too."
    )
    return Sheet("weaknesses", "Strong and weak groups", caption, columns, tuple(rows), notes_of(study.rich))


def words(study):
    """The words that models miss most, the surest first."""
    columns = (
        MODEL,
        Column("word", "word", "A word of prompts, whatever its case and the marks around it."),
        Column("images", "images", "The model's images whose prompt has the word.", "count"),
        Column("answers", "answers", "Answers of voters who were asked which words those images miss.", "count"),
        Column("marked", "marked", "Of these, the answers that name this word.", "count"),
        Column("share", "share", "The share of answers that name it; a voter counts once on an image.", "share"),
        Column("share_lower", "from", "Lower end of the share's 95% interval, for images and voters like these.", "share"),
        Column("share_upper", "to", "Upper end of the share's 95% interval.", "share"),
        Column("trusted", "trusted", "The share with voters weighing what they are trusted.", "share"),
        Column("everybody", "all models", "The same share over the images of all models.", "share"),
    )  # fmt: skip
    names = {"share_lower": "lower", "share_upper": "upper"}
    rows = [
        {column.key: getattr(word, names.get(column.key, column.key)) for column in columns}
        for word in study.rich.missed_words
    ]
    caption = (
        "The surest misses first: by the lower end of the interval. Words with fewer than 10 answers are not shown."
    )
    return Sheet("words", "Words that images miss", caption, columns, tuple(rows), notes_of(study.rich))


def images(study):
    """Every image with feedback, the worst first."""
    columns = (
        Column("image", "image", "The image's id."),
        MODEL,
        Column("prompt", "prompt", "What the image was to show."),
        *_scores(study.rich, "95% interval, for voters like these"),
        Column("missed", "missed words", "Words of the prompt that half of the asked voters or more say it misses."),
        FEEDBACK,
        VOTERS,
    )
    rows = []
    for image_id in study.rich.ranked_images():
        found = study.rich.image(image_id)
        missed = [word.text for word in found.words if word.share is not None and word.share >= 0.5]
        row = {"image": image_id, "model": found.model, "prompt": found.prompt, "feedback": found.feedback}
        row |= {"voters": found.voters, "missed": ", ".join(missed) or None}
        rows.append(row | _cells(found.scores))
    caption = "The worst overall first; an image with few voters counts as nearer to its model's mean."
    return Sheet("images", "Worst and best images", caption, columns, tuple(rows), notes_of(study.rich))
