"""Voters who drive the app over its JSON routes, and remember what was acknowledged to them."""

from __future__ import annotations

import random
import threading
import time

import httpx

OUTCOMES = ("model_a", "model_b", "both_good", "both_bad")


class Crowd:
    """`count` voters at each of the addresses in `urls`, which may change under way; use as a context manager."""

    def __init__(self, urls: list[str], *, count: int, rng: random.Random, pause: float = 0.02):
        self.urls, self.pause = urls, pause
        self.votes: dict[str, str] = {}  # acknowledged: battle_id -> winner
        self.uncertain: dict[str, str] = {}  # sent, and the answer was lost
        self.said: dict[tuple[str, str], int] = {}  # acknowledged feedback: (battle_id, side) -> its style
        self.unsure: dict[tuple[str, str], int] = {}  # sent, and the answer was lost
        self.withdrawn: set[str] = set()  # acknowledged
        self.refused: list[tuple[int, str]] = []  # answers other than 200 to votes and feedback
        self._leave = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(k, random.Random(rng.random())), daemon=True)
                         for k in range(count)]  # fmt: skip

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        for thread in self._threads:
            thread.join(200)
        assert not any(thread.is_alive() for thread in self._threads), "a voter waits for an answer"

    def until(self, votes: int, seconds: float = 150) -> None:
        """Wait for so many acknowledged votes in all; as many as there are by then are enough."""
        end = time.monotonic() + seconds
        while len(self.votes) < votes and time.monotonic() < end:
            time.sleep(0.01)

    def sent(self) -> set[str]:
        """The battles whose votes were sent by now, acknowledged or not."""
        return set(self.uncertain) | set(self.votes)  # in this order: an answer moves one from there to here

    def _visit(self, k: int, rng: random.Random) -> None:
        visits = 0
        while not self._leave.is_set():
            visits += 1
            address = f"10.{k}.{visits // 250}.{visits % 250 + 1}"
            try:
                with httpx.Client(base_url=self.urls[k % len(self.urls)], headers={"x-forwarded-for": address},
                                  timeout=120, trust_env=False) as http:  # fmt: skip
                    if http.get("/").status_code == 200:
                        self._vote_on(http, rng)
            except httpx.TransportError:
                pass
            self._leave.wait(0.05)

    def _vote_on(self, http: httpx.Client, rng: random.Random) -> None:
        while not self._leave.wait(rng.expovariate(1 / self.pause)):
            found = http.post("/arena/next", json={})
            if found.status_code != 200 or found.json()["battle"] is None:
                return
            battle, winner = found.json()["battle"]["battle_id"], rng.choice(OUTCOMES)
            self.uncertain[battle] = winner
            says = rng.random() < 0.3
            answer = http.post("/arena/vote", json={"battle_id": battle, "winner": winner, "hold": says})
            if answer.status_code != 200:
                self.refused.append((answer.status_code, answer.text))
                return
            self.votes[battle] = winner
            del self.uncertain[battle]
            if says and not all(self._say(http, battle, side, rng) for side in ("a", "b")[: rng.randrange(1, 3)]):
                return
            if rng.random() < 0.1 and http.post("/arena/withdraw", json={"battle_id": battle}).status_code == 200:
                self.withdrawn.add(battle)

    def _say(self, http: httpx.Client, battle: str, side: str, rng: random.Random) -> bool:
        given = {"style": rng.randrange(1, 6), "errors": 5, "misaligned_words": rng.sample(range(5), 2),
                 "coherence_points": [[rng.random(), rng.random()]]}  # fmt: skip
        self.unsure[battle, side] = given["style"]
        answer = http.post("/arena/feedback", json={"battle_id": battle, "side": side, **given})
        if answer.status_code != 200:
            self.refused.append((answer.status_code, answer.text))
            return False
        self.said[battle, side] = self.unsure.pop((battle, side))
        return True
