"""Making images that are wanted: several of one model at once where its backend gains by that, and what comes of each.
One that fails, or is rejected, takes no other with it.

`make` is what the running app and the command `fill` share. `Refill` is the app's: what to make while nobody waits, and
how much of it at once, so that whoever comes meanwhile is not kept waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from arena.errors import GenerationCancelled, GenerationError, ImageRejected
from arena.records import Image
from arena.wanted import Turns

if TYPE_CHECKING:
    from arena.backends.base import Generated, Request
    from arena.stock import Stock
    from arena.studio import Studio
    from arena.wanted import Wanted

ENCODERS = 4  # threads that encode the pictures of one call


def make(stock: Stock, studio: Studio, wanted: Sequence[Wanted],
         cancelled: Callable[[], bool] = lambda: False) -> Iterator[tuple[Wanted, Image | GenerationError]]:  # fmt: skip
    """Make images of one model. Each comes when it is in bank and ledger and on the shelf, or with why it is not.

    They are asked for together and, where that fails, what is missing one by one, each when it is taken from here. A
    picture that was rejected is not asked for again: `Stock.key` gives the next replicate. Raises GenerationCancelled
    after what was finished before."""
    requests = [stock.request(one.prompt, one.model, one.replicate) for one in wanted]
    failure: GenerationError | None = None
    made: dict[int, Generated] = {}
    try:
        made = dict(enumerate(studio.generate(requests, lambda share: None, cancelled)))
    except GenerationError as error:
        failure, made = error, dict(error.made)
    except Exception:  # a fault of ours, of which image is to be seen
        if len(wanted) == 1:
            raise

    def keep(at: int) -> Image | GenerationError:
        try:
            return stock.keep(wanted[at].prompt, requests[at], made[at], private=False)
        except GenerationError as error:
            return error

    with ThreadPoolExecutor(ENCODERS) as pool:
        kept = dict(zip(made, pool.map(keep, made), strict=True))
    for at, image in sorted(kept.items()):
        yield wanted[at], _settled(stock, wanted[at], requests[at], image)
    if isinstance(failure, GenerationCancelled):
        raise failure
    for at, one in enumerate(wanted):
        if at not in kept and len(wanted) > 1:
            yield from make(stock, studio, [one], cancelled)
        elif at not in kept:
            yield one, _settled(stock, one, requests[at], failure)


def _settled(stock: Stock, one: Wanted, request: Request, outcome: Image | GenerationError) -> Image | GenerationError:
    if isinstance(outcome, GenerationError):
        outcome.model = one.model
        if isinstance(outcome, ImageRejected):
            stock.spend(one.slot, request.seed)
    else:
        known = stock.ledger.generation(one.prompt.prompt_id, one.model, request.seed)
        other = known is not None and known.image_id != outcome.image_id
        if other and stock.bank.has(known.image_id):  # made by another process meanwhile
            if stock.ledger.image(outcome.image_id) is None:
                stock.bank.remove(outcome.image_id)
            outcome = known
        else:
            stock.ledger.add_image(outcome)
        stock.shelf.add(one.prompt, [outcome])
    return outcome


class Refill:
    """The app's: what is made while nobody waits, as `arena.wanted.Turns` has it."""

    def __init__(self, stock: Stock):
        self.stock, self._turns = stock, Turns(stock.wanted, len(stock.contenders))

    def some(self, studio: Studio) -> bool:
        """Make what is wanted first; False when nothing is, or nothing can be made now. A failing model rests, and its
        image is tried again last. Raises GenerationError."""
        wanted = self._next(studio)
        if not wanted:
            return False
        model, left, made, failure = wanted[0].model, list(wanted), 0, None
        try:  # a live request goes first
            for one, outcome in make(self.stock, studio, wanted, studio.busy):
                left.remove(one)
                if isinstance(outcome, Image):
                    made += 1
                    continue
                self.stock.wanted.put(one.prompt, model)
                failure = outcome
                if not isinstance(outcome, ImageRejected):
                    break
        except GenerationCancelled:
            self._turns.cut_short(model, len(wanted))
            raise
        except Exception:
            self.stock.wanted.put(left.pop(0).prompt, model)
            studio.rest(model)
            raise
        finally:
            for one in reversed(left):
                self.stock.wanted.put(one.prompt, model, first=True)
            self._turns.ended(len(wanted) - len(left))
        if failure is not None and not (made and isinstance(failure, ImageRejected)):
            self._turns.failed(model)
            studio.rest(model)
        else:
            self._turns.went_well(model, len(wanted))
            studio.recovered(model)
        if failure is not None:
            raise failure
        return True

    def _next(self, studio: Studio) -> list[Wanted]:
        """Images of the model whose turn it is, off the list of what is wanted."""
        stock = self.stock
        some = self._turns.next(stock.lacks, studio.resting(), lambda: sum(stock.shelf.sizes().values()),
                                lambda model: studio.takes(stock.contenders[model]))  # fmt: skip
        return [stock.key(*one) for one in some]
