"""The rules at the door: keyed voters, rate limits, prompts."""

import pytest

from arena.errors import BadPrompt, TooFast
from arena.guard import PromptRules, RateLimit, VoterKey


def test_a_voter_is_a_keyed_hash_that_tells_nothing():
    key, other = VoterKey(b"a" * 32), VoterKey(b"b" * 32)
    voter = key.voter("hf:alice")
    assert voter == key.voter("hf:alice") and len(voter) == 32 and "alice" not in voter
    assert len({voter, key.voter("cookie:alice"), other.voter("hf:alice"), key.derive("hf:alice").hex()[:32]}) == 4


def test_a_short_secret_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        VoterKey(b"short")


def test_the_bucket_empties_says_when_to_come_back_and_refills(clock):
    limit = RateLimit(rate=2, burst=3, clock=clock)
    for _ in range(3):
        limit.spend("ann", "so many votes")
    with pytest.raises(TooFast, match="so many votes") as refused:
        limit.spend("ann", "so many votes")
    assert refused.value.retry_after == pytest.approx(0.5)
    limit.spend("bob", "so many votes")
    clock.now += refused.value.retry_after
    limit.spend("ann", "so many votes")
    clock.now += 1000
    for _ in range(3):
        limit.spend("ann", "so many votes")
    with pytest.raises(TooFast):
        limit.spend("ann", "so many votes")


def test_many_visitors_do_not_fill_the_memory(clock):
    limit = RateLimit(rate=1, burst=1, keys=100, clock=clock)
    for i in range(1000):
        limit.spend(str(i), "x")
    assert len(limit._buckets) == 100


@pytest.mark.parametrize(("typed", "kept"), [
    ("  a red\t\n circle ", "a red circle"), ("e\u0301toile", "étoile"), ("a\x00b\u200bc", "abc"), ("x" * 50, "x" * 50),
    ("<script>alert(1)</script>", "<script>alert(1)</script>"),
])  # fmt: skip
def test_prompts_are_put_in_normal_form(typed, kept):
    assert PromptRules(50).clean(typed) == kept


@pytest.mark.parametrize(("typed", "message"), [
    ("", "Type what"), (" \n\u200b ", "Type what"), ("x" * 51, "51 characters; at most 50"), (None, "must be text"),
    (7, "must be text"), ("a Naked man", "not allowed"),
])  # fmt: skip
def test_what_cannot_be_a_prompt_is_refused_with_its_reason(typed, message):
    with pytest.raises(BadPrompt, match=message):
        PromptRules(50, ["naked"]).clean(typed)


def test_blocked_words_are_whole_words():
    assert PromptRules(50, ["ass", "c++"]).clean("a glass of c") == "a glass of c"
    with pytest.raises(BadPrompt):
        PromptRules(50, ["ass", "c++"]).clean("C++ code")
