"""Which prompt, which pair of models and which side: drawn with a probability that is known and recorded."""

from arena.matchmaking.pairs import Gains, Offers, Pair, Pairing, draw_models
from arena.matchmaking.shelf import Draw, Seen, Shelf

__all__ = ["Draw", "Gains", "Offers", "Pair", "Pairing", "Seen", "Shelf", "draw_models"]
