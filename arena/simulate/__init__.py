"""What would happen: simulations with which a maintainer chooses hardware, settings and policies."""
