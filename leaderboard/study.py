"""Owns the Study: one source's votes and everything that is computed from them, each part when it is first asked for.

The command line, the page and the sheets ask a Study; none of them computes anything itself. To add a part, write its
module and a cached property here.
"""

from functools import cached_property

import numpy as np

from leaderboard.board import DEFAULT_METHOD, build
from leaderboard.clusters import AUTO, capped
from leaderboard.sampling import AS_SERVED, weighed


class Study:
    """`votes` are checked Votes; `models` holds what is known of a model: id -> {"name", "organisation", "licence",
    "family", "parameters_b", "memory_gb", "demo"}, all optional; `pictures` the images behind the votes, or None;
    `feedback` checked Feedback, or a function that reads it (or the Rich of it) when it is first asked for, or None;
    `edition` is text that differs where what lies beside the votes does; the rest is as for board.build."""

    def __init__(
        self,
        votes,
        *,
        method=DEFAULT_METHOD,
        by="category",
        seed=0,
        models=None,
        pictures=None,
        feedback=None,
        clusters=AUTO,
        voter_cap=None,
        sampling=AS_SERVED,
        edition="",
    ):
        self.votes, self.edition = votes, edition
        self.method, self.by, self.seed = method, by, seed
        self.models, self.pictures, self._feedback = dict(models or {}), pictures, feedback
        self.clusters, self.voter_cap, self.sampling = clusters, voter_cap, sampling

    def name(self, model):
        """The name to show for a model's id."""
        return str(self.models.get(model, {}).get("name") or model)

    @cached_property
    def weighed(self):
        """The votes as the sampling weighs them. Raises errors.UnknownChoice and BadNumber."""
        return weighed(self.votes, self.sampling, self.method)

    @cached_property
    def board(self):
        """The Leaderboard: standings, groups, pairs and notes. Raises errors.UnknownChoice."""
        return build(
            self.votes, self.method, self.seed, self.by, self.models, self.clusters, self.voter_cap, self.sampling
        )

    @cached_property
    def by_bradley_terry(self):
        """The overall standings by Bradley-Terry, whatever this Study's method is."""
        if self.method == DEFAULT_METHOD:
            return self.board.standings
        options = (self.seed, self.by, None, self.clusters, self.voter_cap, self.sampling)
        return build(self.votes, DEFAULT_METHOD, *options).standings

    @cached_property
    def audit(self):
        """The Audit: the overall standings with every interval beside its bootstrap. Raises errors.UnknownChoice."""
        from leaderboard.audit import audit

        return audit(self.weighed, self.method, self.seed, self.clusters, self.voter_cap)

    @cached_property
    def ballots(self):
        """The votes by pair of images, as agreement compares them."""
        from leaderboard.agreement import ballots

        return ballots(self.votes)

    @cached_property
    def agreement(self):
        """The Agreement of all votes, then of each group."""
        from leaderboard.agreement import agreements

        return agreements(self.votes, self.ballots, self.by, np.random.default_rng(self.seed))

    @cached_property
    def voters(self):
        """The Voters: what each cast, and how often they agree with the others."""
        from leaderboard.voters import voters

        return voters(self.votes, self.ballots)

    @cached_property
    def trusted(self):
        """The board without and with weights of trust, from gold tasks and from agreement."""
        from leaderboard.trust import trusted

        return trusted(
            self.weighed, self.method, self.seed, agreement=True, clusters=self.clusters, voter_cap=self.voter_cap
        )

    @cached_property
    def sampled(self):
        """The Sampled: the board as served and with votes weighed by 1 / pair_probability, whatever this Study's sampling
        is; None where all votes count alike. Raises errors.UnknownChoice and BadNumber."""
        from leaderboard.sampling import sampled

        return sampled(self.votes, self.method, self.seed, self.clusters, self.voter_cap)

    @cached_property
    def history(self):
        """The History: the standings at up to 30 dates."""
        from leaderboard.history import history

        return history(self.weighed, self.method, self.seed, None, self.clusters, self.voter_cap)

    @cached_property
    def controlled(self):
        """The Controlled standings: what is left of the ratings when brightness, sharpness and so on take part."""
        from leaderboard.controls import controlled

        return controlled(self.weighed, self.pictures, self.clusters, self.voter_cap)

    @cached_property
    def speed(self):
        """The Speed of every model: seconds an image, memory and size, and which models nothing else outdoes."""
        from leaderboard.speed import speed

        return speed(self.board.standings, self.pictures, self.models)

    @cached_property
    def fragility(self):
        """The Fragility of the Bradley-Terry order of the established models: which votes hold each place up."""
        from leaderboard.fragility import fragility
        from leaderboard.standings import VOTE_FLOOR
        from leaderboard.tally import Pairs, tally

        votes = capped(self.weighed, self.voter_cap)
        pairs = Pairs.of(tally(votes).total())
        weighted = None if votes.weight is None else Pairs.of(tally(votes, weighted=True).total())
        return fragility(pairs, votes.models, pairs.battles.sum(axis=1) >= VOTE_FLOOR, weighted)

    @cached_property
    def complexity(self):
        """The Complexity: every model on simplified against complex prompts; None where there are not both."""
        from leaderboard.complexity import complexity

        return complexity(capped(self.weighed, self.voter_cap), self.clusters)

    @cached_property
    def quality(self):
        """The Measures of the data's quality, in the order to read them."""
        from leaderboard.quality import quality

        return quality(self.votes, self.ballots)

    @cached_property
    def methods(self):
        """{method: View}: what each method of ratings.METHODS says of these votes."""
        from leaderboard.methods import views

        return views(capped(self.weighed, self.voter_cap), self.clusters)

    @cached_property
    def position(self):
        """The Position: what standing on side a is worth, and the ratings with and without it."""
        from leaderboard.position import position

        return position(capped(self.weighed, self.voter_cap), clusters=self.clusters)

    @cached_property
    def rich(self):
        """The Rich: what ratings, words and points say of models and images; empty where there is no feedback.
        Raises errors.SourceError and BadFeedback."""
        from leaderboard.feedback import feedback_from_rows
        from leaderboard.rich import Rich

        feedback = self._feedback() if callable(self._feedback) else self._feedback
        if isinstance(feedback, Rich):
            return feedback
        return Rich(
            feedback_from_rows([]) if feedback is None else feedback,
            self.votes,
            pictures=self.pictures,
            by=self.by,
            seed=self.seed,
            clusters=self.clusters,
            voter_cap=self.voter_cap,
            sampling=self.sampling,
        )
