from __future__ import annotations

from varka.model.memo import Kept, Memo


def test_same_inputs_give_the_same_object() -> None:
    """A piece is made once for the same input objects, and again for an equal one that is another object."""
    first, equal = [1], [1]
    kept = Kept()
    made = kept.get("a", (first,), lambda: object())
    later = Kept(kept)
    assert later.get("a", (first,), lambda: object()) is made
    assert later.get("a", (equal,), lambda: object()) is not made


def test_pieces_that_were_not_asked_for_are_forgotten() -> None:
    """What one generation does not ask for is not kept for the next."""
    source: list[int] = []
    first = Kept()
    made = first.get("a", (source,), lambda: object())
    second = Kept(first)
    second.settle()
    assert Kept(second).get("a", (source,), lambda: object()) is not made


def test_equal_keeps_the_identity() -> None:
    """An equal value is replaced by that of last time."""
    first = Kept()
    value = first.equal("a", (1, "x" * 20))
    assert Kept(first).equal("a", (1, "x" * 20)) is value


def test_revise_shows_the_last_piece() -> None:
    """A piece that is made anew may take over from the one before."""
    first = Kept()
    made = first.revise("a", ([],), lambda last: [last])
    assert made == [None]
    assert Kept(first).revise("a", ([],), lambda last: [last]) == [[None]]


def test_stage_runs_only_when_an_input_changed() -> None:
    """A stage with the same inputs keeps its result, and its pieces for later."""
    source, runs = (1,), []

    def run(kept: Kept) -> object:
        runs.append(kept)
        return kept.get("piece", (source,), lambda: object())

    first = Memo()
    made = first.stage("s", (source,), run)
    second = Memo(first)
    assert second.stage("s", (source,), run) is made
    third = Memo(second)
    assert third.stage("s", (source, "more"), run) is made
    assert len(runs) == 2
