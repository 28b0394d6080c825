"""Owns Rich: everything that feedback says of models and images, each part computed when it is first asked for."""

from functools import cached_property

import numpy as np

from leaderboard import errors
from leaderboard.clusters import AUTO
from leaderboard.feedback import KINDS, read_feedback
from leaderboard.feedback_formats import CRITERIA
from leaderboard.gold import gold_weights
from leaderboard.rich import alpha, heatmaps, paired, scores, words
from leaderboard.rich.records import OVERALL, ImageFeedback, ModelFeedback, ModelScores, known, score_of
from leaderboard.rich.values import values_of, voters_of
from leaderboard.sampling import AS_SERVED, REWEIGHTED, drawn, settling
from leaderboard.tally import UNGROUPED
from leaderboard.votes import votes_from_rows

BOTH = "both"
SHRUNK = 3.0  # voters of the model's mean that an image's place among worst and best begins with
FEW_IMAGES = 12
SETTLING = "settles"  # why feedback is left out where pairs are to count alike


def of(source, votes=None, pictures=None, **options):
    """The Rich of a source's name (see feedback_sources), with trust from its own votes where it has any; the rest is as
    for Rich. Raises errors.SourceError, BadFeedback and BadVotes."""
    from leaderboard.pictures import open_pictures
    from leaderboard.votes import read_votes

    feedback = read_feedback(source)
    if votes is None:
        try:
            votes = read_votes(source)
        except errors.MissingColumn:  # a file of feedback alone
            if not len(feedback):
                raise
    return Rich(feedback, votes, pictures=pictures or open_pictures(source), **options)


class Rich:
    """`feedback` is checked Feedback; `votes` checked Votes of the same source, for trust, or None; `pictures` tell the
    images' sizes, or None: then they are taken for squares; `trust` {voter: weight} in place of what the gold tasks
    among votes and feedback say; `by` a grouping as in votes.GROUPINGS; the rest is as for board.build. With the sampling
    `reweighted` feedback on votes that settled a disagreement is left out, as those votes are, and the boards of criteria
    weigh battles as their votes."""

    def __init__(self, feedback, votes=None, *, pictures=None, trust=None, by="category", seed=0, clusters=AUTO,
                 voter_cap=None, sampling=AS_SERVED):  # fmt: skip
        self.feedback = feedback
        self._votes = votes_from_rows([]) if votes is None else votes
        self._sampling = sampling
        if sampling == REWEIGHTED:
            self.feedback = feedback.without(self._settling(), SETTLING)
        self._pictures, self._trust, self.by = pictures, trust, by
        self.seed, self._clusters, self._voter_cap = seed, clusters, voter_cap

    def __len__(self):
        """How many rows of feedback count."""
        return len(self.feedback)

    @cached_property
    def settling(self):
        """How many rows go with votes that were asked for because earlier voters of a pair of images had disagreed."""
        return int(self._settling().sum())

    def _settling(self):
        late, _ = settling(self._votes)
        ids = set(self._votes.vote_id.take(late).to_pylist()) - {None}
        return np.array([name in ids for name in self.feedback.vote.names] + [False])[self.feedback.vote.codes]

    # -- models ---------------------------------------------------------------------------------------------------

    def models(self):
        """A ModelScores of every model with feedback, the best overall mean first."""
        return self._models

    def model(self, model, images=FEW_IMAGES):
        """The ModelFeedback of a model's id, with so many worst and best images. Raises errors.UnknownChoice."""
        found = next((part for part in self._models if part.model == model), None)
        if found is None:
            raise errors.UnknownChoice(f"there is no feedback on a model called {model!r}")
        ranked = self.ranked_images(model)
        half = min(images, (len(ranked) + 1) // 2)  # no image is among both, but for a single one
        return ModelFeedback(
            model,
            found,
            tuple(word for word in self.missed_words if word.model == model),
            tuple(group for group in self.groups if group.model == model),
            tuple(self.image(image) for image in ranked[:half]),
            tuple(self.image(image) for image in ranked[::-1][:half]),
        )

    @cached_property
    def _models(self):
        codes = self.feedback.model.codes
        return self._scored(codes, self.feedback.model.names, [None] * len(self.feedback.model.names), None)

    @cached_property
    def groups(self):
        """A ModelScores of every model in every group of `by`: each model's groups together, the weakest first; none
        where the feedback is in no groups."""
        column = getattr(self.feedback, self.by)
        if not len(column.names):
            return ()
        names = (*column.names, UNGROUPED)
        group = np.where(column.codes < 0, len(column.names), column.codes).astype(np.int64)
        key, code = np.unique(self.feedback.model.codes.astype(np.int64) * len(names) + group, return_inverse=True)
        models = [self.feedback.model.names[at] for at in (key // len(names)).tolist()]
        found = self._scored(code, models, [names[at] for at in (key % len(names)).tolist()], group)
        return tuple(sorted(found, key=lambda part: (part.model, _mean(part, 9.0), part.group)))

    def _scored(self, code, models, groups, within):
        """ModelScores of rows by `code` [n], best first; others are those of the same group `within` [n] (None: all)."""
        feedback, means = self.feedback, {}
        prompt = feedback.prompt_id.codes.astype(np.int64)  # where it is not known, the image stands for it
        item = np.where(prompt < 0, len(feedback.prompt_id.names) + feedback.image.codes, prompt)
        within = np.zeros(len(feedback), np.int64) if within is None else within
        for name, values in self._values.items():
            rows = np.flatnonzero(np.isfinite(values))
            pick = [part[rows] for part in (code, self._voter, item)]
            plain = scores.once(feedback.image.codes[rows], self._voter[rows])
            found = [scores.clustered(values[rows], weight, pick[0], len(models), pick[1], pick[2])
                     for weight in (plain, plain * self._weight[rows])]  # fmt: skip
            others = scores.others(values[rows], plain, pick[0], within[rows], len(models))
            means[name] = (*found, others, scores.distinct(pick[0], feedback.image.codes[rows], len(models)))
        rows = np.bincount(code, minlength=len(models))
        images, voters = (scores.distinct(code, part, len(models)) for part in (feedback.image.codes, self._voter))
        parts = []
        for at, (model, group) in enumerate(zip(models, groups, strict=True)):
            score = {name: score_of(plain, heavy, at, self.norms[name], int(count[at]))
                     for name, (plain, heavy, _, count) in means.items()}  # fmt: skip
            others = {name: known(part[2][at]) for name, part in means.items()}
            parts.append(ModelScores(model, group, score, others, int(rows[at]), int(images[at]), int(voters[at])))
        return tuple(sorted(parts, key=lambda part: (-_mean(part, 0.0), part.model)))

    # -- images ---------------------------------------------------------------------------------------------------

    def images(self):
        """The ids of every image with feedback that may be shown."""
        return tuple(image for image, rows in zip(self.feedback.image.names, self._rows, strict=True)
                     if not self.feedback.private[rows[0]])  # fmt: skip

    def ranked_images(self, model=None):
        """The ids of a model's images (None: of all), the worst overall first. An image's mean counts with its number of
        voters, and the model's mean with SHRUNK, so that one odd rating does not make an image the worst."""
        means, whole = self._image_means[OVERALL][0], {part.model: _mean(part, np.nan) for part in self._models}
        found = []
        for image in self.images():
            at = self._places[image]
            own = self.feedback.model.names[self.feedback.model.codes[self._rows[at][0]]]
            if (model is None or own == model) and np.isfinite(means.mean[at]):
                voters = int(means.voters[at])
                found.append(((voters * means.mean[at] + SHRUNK * whole[own]) / (voters + SHRUNK), image))
        return tuple(image for _, image in sorted(found))

    def image(self, image_id):
        """The ImageFeedback of an image's id. Raises errors.UnknownChoice."""
        at, feedback = self._place(image_id), self.feedback
        rows = self._rows[at]
        asked_words = rows[feedback.words.asked[rows]]
        none = np.setdiff1d(asked_words, feedback.words.row[self._things["words"][at]])
        first = {name: _cell(getattr(feedback, name), rows[0])
                 for name in ("model", "prompt_id", "prompt", "category", "sub_category", "complexity")}  # fmt: skip
        points = {kind: feedback.points[kind].value[self._things[kind][at]] for kind in KINDS}
        return ImageFeedback(
            image_id=image_id,
            **first,
            scores={name: score_of(*means, at, self.norms[name], 1) for name, means in self._image_means.items()},
            feedback=len(rows),
            voters=len(np.unique(self._voter[rows])),
            words=self.words(image_id),
            asked_words=len(asked_words),
            no_mistakes=len(none),
            no_mistakes_weighted=float((self._once_asked * self._weight)[none].sum()),
            asked={kind: int(self._asked[kind][rows].sum()) for kind in KINDS},
            heard={kind: len(np.unique(self._voter[rows[self._heard[kind][rows]]])) for kind in KINDS},
            points={kind: tuple(map(tuple, places.tolist())) for kind, places in points.items()},
        )

    def words(self, image_id):
        """The words.Word of an image's prompt, in its order. Raises errors.UnknownChoice."""
        rows = self._rows[self._place(image_id)]
        prompt = next((text for row in rows if (text := _cell(self.feedback.prompt, row))), "")
        asked, marks = rows[self.feedback.words.asked[rows]], self._things["words"][self._places[image_id]]
        return words.of_image(prompt, self.feedback, asked, marks, self._once_asked, self._weight)

    def heatmap(self, image_id, kind, cells=heatmaps.CELLS, trusted=False):
        """float32 [cells, cells] over the image's box, the first row on top: see rich.heatmaps. `kind` is "coherence",
        "alignment" or "both", the larger of the two in every cell. Raises errors.UnknownChoice."""
        if kind == BOTH:
            return np.maximum(*(self.heatmap(image_id, one, cells, trusted) for one in KINDS))
        if kind not in KINDS:
            raise errors.UnknownChoice(f"no heatmap is called {kind!r}; known are {', '.join((*KINDS, BOTH))}")
        rows = self._rows[self._place(image_id)]
        asked = rows[self._heard[kind][rows]]
        weight = self._once_placed[kind] * self._weight if trusted else self._once_placed[kind]
        placed, shape = self._things[kind][self._places[image_id]], (cells, cells)
        return heatmaps.of_rows(self.feedback, kind, asked, placed, weight, shape, self.size(image_id))

    def size(self, image_id):
        """(width, height) of an image in pixels, (1, 1) where it is not known."""
        picture = None if self._pictures is None else self._pictures.picture(image_id)
        return (picture.width, picture.height) if picture and picture.width and picture.height else (1, 1)

    @cached_property
    def norms(self):
        """{criterion or "overall": (lowest, highest)} mean of any image, between which `normalised` runs; (None, None)
        where there is none."""
        found = {}
        for name, (plain, _) in self._image_means.items():
            known = plain.mean[np.isfinite(plain.mean)]
            found[name] = (float(known.min()), float(known.max())) if len(known) else (None, None)
        return found

    # -- the whole ------------------------------------------------------------------------------------------------

    @cached_property
    def missed_words(self):
        """words.Missed of every model, the surest first."""
        return words.missed(self.feedback, self._once_asked, self._weight, self._voter)

    @cached_property
    def agreement(self):
        """An alpha.Agreement of each criterion that anybody rated."""
        rng, found = np.random.default_rng(self.seed), []
        for name in CRITERIA:
            rows = np.flatnonzero(np.isfinite(self._values[name]))
            if len(rows):
                columns = (self.feedback.image.codes[rows], self._voter[rows], self._values[name][rows])
                found.append(alpha.agreement(name, *columns, rng))
        return tuple(found)

    @cached_property
    def paired(self):
        """The battles whose images one voter rated both (paired.Paired)."""
        return paired.paired(self.feedback)

    @cached_property
    def boards(self):
        """{criterion: standings.Table} by Bradley-Terry from paired ratings, for criteria with any."""
        found, weights = {}, None
        if self._sampling == REWEIGHTED:
            weights = dict(zip(self._votes.vote_id.to_pylist(), drawn(self._votes).weight.tolist(), strict=True))
        for name in CRITERIA:
            board = paired.board(self.feedback, self.paired, name, self.seed, self._clusters, self._voter_cap, weights)
            if board.rows:
                found[name] = board
        return found

    @cached_property
    def explained(self):
        """Which criterion explains the votes (paired.Explained)."""
        return paired.explained(self.feedback, self.paired)

    # -- parts ----------------------------------------------------------------------------------------------------

    @cached_property
    def trust(self):
        """{voter: weight} of voters whose weight is known; everybody else weighs 1."""
        if self._trust is not None:
            return dict(self._trust)
        battles, said = self._votes.gold_tasks, self.feedback.gold_tasks
        voters = list(dict.fromkeys(voter for voter, _, _ in (*battles, *said)))
        return dict(zip(voters, gold_weights(battles, voters, of_feedback=said).tolist(), strict=True))

    @cached_property
    def _weight(self):
        """float64 [n]: the trust in each row's voter."""
        known = [self.trust.get(name, 1.0) for name in self.feedback.voter.names]
        return np.array([*known, 1.0])[self.feedback.voter.codes]

    @cached_property
    def _voter(self):
        """int64 [n]: each row's voter (values.voters_of)."""
        return voters_of(self.feedback)

    @cached_property
    def _values(self):
        """{criterion or "overall": float64 [n]} (values.values_of)."""
        return values_of(self.feedback)

    @cached_property
    def _image_means(self):
        """{criterion or "overall": (plain, trusted)}, scores.Means over the images."""
        found = {}
        for name, values in self._values.items():
            rows = np.flatnonzero(np.isfinite(values))
            image, voter = self.feedback.image.codes[rows], self._voter[rows]
            plain = scores.once(image, voter)
            found[name] = tuple(scores.of_images(values[rows], weight, image, len(self.feedback.image.names), voter)
                                for weight in (plain, plain * self._weight[rows]))  # fmt: skip
        return found

    @cached_property
    def _once_asked(self):
        """float64 [n]: what a row counts among those asked about words, so that a voter counts once on an image."""
        return self._once(self.feedback.words.asked)

    @cached_property
    def _once_placed(self):
        """{kind: float64 [n]}: the same among those who said where, or that there is nothing to mark."""
        return {kind: self._once(heard) for kind, heard in self._heard.items()}

    def _once(self, asked):
        found, rows = np.zeros(len(self.feedback)), np.flatnonzero(asked)
        found[rows] = scores.once(self.feedback.image.codes[rows], self._voter[rows])
        return found

    @cached_property
    def _asked(self):
        """{kind: bool [n]}: who was asked for points of a kind, or painted an area."""
        found = {kind: self.feedback.points[kind].asked.copy() for kind in KINDS}
        for kind, asked in found.items():
            asked[list(self.feedback.painted[kind])] = True
        return found

    @cached_property
    def _heard(self):
        """{kind: bool [n]}: whom a heatmap is the mean over: who was asked where, and who rated too high to be asked."""
        return {kind: asked | self.feedback.faultless[kind] for kind, asked in self._asked.items()}

    @cached_property
    def _things(self):
        """{"words" or a kind of points: for every image the numbers of its things among all}."""
        given = {"words": self.feedback.words} | self.feedback.points
        return {name: _parts(self.feedback.image.codes[things.row], len(self.feedback.image.names))
                for name, things in given.items()}  # fmt: skip

    @cached_property
    def _rows(self):
        """The rows of every image, oldest first."""
        return _parts(self.feedback.image.codes, len(self.feedback.image.names))

    @cached_property
    def _places(self):
        return {name: at for at, name in enumerate(self.feedback.image.names)}

    def _place(self, image_id):
        if image_id not in self._places or self.feedback.private[self._rows[self._places[image_id]][0]]:
            raise errors.UnknownChoice(f"there is no feedback on an image called {image_id!r}")
        return self._places[image_id]


def _parts(codes, size):
    """For each of `size` codes, where it stands in `codes`, ascending."""
    ends = np.cumsum(np.bincount(codes, minlength=size))
    return np.split(np.argsort(codes, kind="stable"), ends[:-1]) if size else []


def _mean(part, unknown):
    mean = part.scores[OVERALL].mean
    return unknown if mean is None else mean


def _cell(column, row):
    code = column.codes[row]
    return column.names[code] if code >= 0 else None
