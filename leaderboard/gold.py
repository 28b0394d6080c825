"""Owns what tasks with a known answer say of a voter: one weight each, in which a task counts as its difficulty says.

A weight is about care, not about taste: only gold tasks enter it. How far a voter agrees with the others is reported
beside it and never lowers it (leaderboard.voters, leaderboard.trust), so that a minority is not punished.
"""

import numpy as np

EXPECTED, PRIOR_TASKS = 0.9, 3.0  # what an honest voter does, and how many imagined tasks say so
GUESSING = 0.25  # one of four outcomes at random
GUESSING_FEEDBACK = 0.05  # a word or a place at random
FLOOR = 0.1  # nobody is silenced: an estimate may be wrong, and no model loses its last link to the others


def gold_counts(answers):
    """(voter, task, right) each -> {voter: (right, asked)}."""
    counts = {}
    for voter, _, right in answers:
        good, asked = counts.get(voter, (0, 0))
        counts[voter] = (good + right, asked + 1)
    return counts


def gold_weights(answers, voters, guessing=GUESSING, of_feedback=()):
    """Float64 [V], the weight in [FLOOR, 1] of each of `voters`, from `answers` to known battles and `of_feedback` to
    known words and areas, (voter, task, right) each.

    With g the share of right answers that `guessing` brings (of feedback GUESSING_FEEDBACK, for words and places are
    not hit by chance), p0 = 0.9 and m = 3 imagined battles, whose g is g0,

        p_t = (right answers of the others to t + m p0) / (others asked t + m)     how easy the task is
        d_t = max(0, p_t - g) / (p0 - g)                                           what it can tell
        weight = (m (p0 - g0) + sum d_t (r_t - g)) / (m (p0 - g0) + sum d_t (p_t - g))

    over the voter's answers r_t, 1 or 0: what they got above guessing, to what the others get on the same tasks. A
    wrong answer to an easy task costs most; a task that nobody gets right, a mistake of whoever marked it, says
    nothing. Where every p_t is p0 it is (p - g) / (p0 - g) of the smoothed share p = (right + m p0) / (asked + m). Who
    answered none weighs 1, and so does who is as good as the others or better."""
    place = {name: code for code, name in enumerate(voters)}
    asked = [(voter, ("battle", task), good, guessing) for voter, task, good in answers]
    asked += [(voter, ("feedback", task), good, GUESSING_FEEDBACK) for voter, task, good in of_feedback]
    known = [answer[:3] for answer in asked if answer[0] in place]
    chance = np.array([answer[3] for answer in asked if answer[0] in place], float)
    voter = np.array([place[name] for name, _, _ in known], np.int64)
    tasks = {task: code for code, task in enumerate(dict.fromkeys(task for _, task, _ in known))}
    task = np.array([tasks[name] for _, name, _ in known], np.int64)
    right = np.array([bool(good) for _, _, good in known], float)
    # A voter's own answers to a task are left out of its difficulty, however often they were asked it.
    own, inverse = np.unique(voter * max(1, len(tasks)) + task, return_inverse=True)
    own_right, own_asked = np.bincount(inverse, right, len(own)), np.bincount(inverse, minlength=len(own))
    others = np.bincount(task, right, len(tasks))[task] - own_right[inverse]
    asked = np.bincount(task, minlength=len(tasks))[task] - own_asked[inverse]
    easy = (others + PRIOR_TASKS * EXPECTED) / (asked + PRIOR_TASKS)
    tells = np.maximum(0.0, easy - chance) / (EXPECTED - chance)
    start = PRIOR_TASKS * (EXPECTED - guessing)
    got = start + np.bincount(voter, tells * (right - chance), len(place))
    expected = start + np.bincount(voter, tells * (easy - chance), len(place))
    return np.clip(got / expected, FLOOR, 1.0)
