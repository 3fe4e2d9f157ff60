from __future__ import annotations

from varka.envoy import memo


def test_same_objects_same_result() -> None:
    """Asked again with the very same objects, nothing is built."""
    kept: memo.Memo[object] = memo.Memo()
    part = ["x"]
    assert kept.get((part,), 1, object) is kept.get((part,), 1, object)


def test_equal_objects_are_not_the_same() -> None:
    """Objects count by identity, values by equality."""
    kept: memo.Memo[object] = memo.Memo()
    first = kept.get((["x"],), 1, object)
    assert kept.get((["x"],), 1, object) is not first


def test_bounded() -> None:
    """No more than two generations are kept, and what is asked for again survives."""
    kept: memo.Memo[object] = memo.Memo(10)
    part = ["kept"]
    result = kept.get((part,), None, object)
    others = [[number] for number in range(100)]
    for other in others:
        kept.get((other,), None, object)
        assert kept.get((part,), None, object) is result
    assert len(kept._new) + len(kept._old) <= 20
