"""Which prompt, which pair of models and which side: drawn with a probability that is known and recorded."""

from arena.matchmaking.draws import Draw, Seen
from arena.matchmaking.overlap import Overlap
from arena.matchmaking.pairs import Gains, Offers, Pair, Pairing, draw_models
from arena.matchmaking.shelf import Shelf

__all__ = ["Draw", "Gains", "Offers", "Overlap", "Pair", "Pairing", "Seen", "Shelf", "draw_models"]
