"""The embedded models: the little world they draw, how they are trained from scratch, and their checker."""
