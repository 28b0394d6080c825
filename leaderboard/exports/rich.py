"""Owns what both exports of rich feedback need: the images with feedback and a picture, and words with their weights."""

import numpy as np

from leaderboard import errors
from leaderboard.exports.base import as_image


def images(material, written):
    """(Rich, ImageFeedback, picture's cell, split) of every image that can be written, in the order of their first
    feedback; the others are counted in `written`. Raises errors.NothingToExport where the source has no feedback."""
    found = material.rich() if material.rich else None
    if found is None or not len(found):
        raise errors.NothingToExport(f"{material.votes.source}: there is no feedback on any image")
    for image_id in found.images():
        image = found.image(image_id)
        data = material.pictures.data(image_id) if image.prompt else None
        if not image.prompt:
            written.leave_out("images without their prompt")
        elif data is None:
            written.leave_out("images whose pictures are not in the source")
        else:
            yield found, image, as_image(image_id, data), material.split(image.prompt)


def marked_words(found, image):
    """(words of the prompt, float64 [words] of how much trust marked each, how much marked none, how much was asked):
    each voter asked counts the weight of the trust in them, 1 where nothing is known of them."""
    feedback = found.feedback
    rows = np.flatnonzero((feedback.image.codes == feedback.image.names.index(image.image_id)) & feedback.words.asked)
    weight = np.array([*(found.trust.get(name, 1.0) for name in feedback.voter.names), 1.0])[feedback.voter.codes]
    words = image.prompt.split()
    chosen = np.isin(feedback.words.row, rows)
    counts = np.bincount(feedback.words.value[chosen], weight[feedback.words.row[chosen]], len(words))
    none = weight[rows[~np.isin(rows, feedback.words.row)]].sum()
    return words, counts, float(none), float(weight[rows].sum())
