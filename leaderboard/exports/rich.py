"""Owns what both exports of rich feedback need: the images with feedback and a picture."""

from leaderboard import errors
from leaderboard.exports.base import as_image


def images(material, written):
    """(Rich, ImageFeedback, picture's cell, split) of every image that can be written, in the order of their first
    feedback; the others are counted in `written`. Raises errors.NothingToExport where the source has no feedback."""
    found = material.rich() if material.rich else None
    if found is None or not len(found):
        raise errors.NothingToExport(f"{material.votes.source}: there is no feedback on any image")
    for why, count in found.feedback.left_out.items():
        written.leave_out(f"answers that do not count ({why})", count)
    written.leave_out("images that are private", len(found.feedback.image.names) - len(found.images()))
    for image_id in found.images():
        image = found.image(image_id)
        data = material.pictures.data(image_id) if image.prompt else None
        if not image.prompt:
            written.leave_out("images without their prompt")
        elif data is None:
            written.leave_out("images whose pictures are not in the source")
        else:
            yield found, image, as_image(image_id, data), material.split(image.prompt)
