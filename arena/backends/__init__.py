"""Ways of making images: one protocol, one file a backend, and the table from which the studio takes them.

A backend turns (model, prompt text, seed) into a picture. It never sees a voter, a battle or a vote.
"""
