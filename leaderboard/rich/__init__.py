"""Why, not only which: what voters' ratings, words and points say of models and of single images.

    from leaderboard import rich

    found = rich.of("you/your-votes")           # or a folder, a ledger, a file of feedback
    found.models()                              # a ModelScores each, best first
    found.model("sdxl")                         # its scores, words, categories, worst and best images
    found.image(image_id)                       # scores, words, points
    found.heatmap(image_id, "coherence")        # float32 [256, 256]

`scores` owns means and their intervals, `words` misaligned words, `heatmaps` where voters pointed, `alpha` how far they
agree, `paired` the boards of single criteria and what explains the votes, `summary` joins them.
"""

from leaderboard.rich.records import OVERALL, SHOWN, ImageFeedback, ModelFeedback, ModelScores, Score
from leaderboard.rich.summary import Rich, of

__all__ = ["OVERALL", "SHOWN", "ImageFeedback", "ModelFeedback", "ModelScores", "Rich", "Score", "of"]
