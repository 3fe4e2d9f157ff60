from __future__ import annotations

from collections import Counter

import pytest

from varka.base.errors import VarkaError
from varka.telemetry.traffic import plan
from varka.telemetry.traffic.plan import Picker, Plan, Weighted


def test_paths_may_have_weights() -> None:
    """What stands after the last `=` is a weight when it is a number."""
    assert plan.paths(["/a", "/b=3", "/c?x=y", "/d?x=2.5"]) == (Weighted("/a", 1.0), Weighted("/b", 3.0), Weighted("/c?x=y", 1.0), Weighted("/d?x", 2.5))


@pytest.mark.parametrize("text", ["a", "", "/a b", "http://x/"])
def test_a_path_begins_with_a_slash(text: str) -> None:
    """Anything else is refused with an example."""
    with pytest.raises(VarkaError, match="is no path"):
        plan.paths([text])


def test_delays_are_durations_with_weights() -> None:
    """A mix is a list of durations."""
    assert plan.delays("0s=80,500ms=15, 3s=5") == (Weighted(0.0, 80.0), Weighted(0.5, 15.0), Weighted(3.0, 5.0))
    assert plan.delays("") == ()
    with pytest.raises(VarkaError, match="is no delay with a weight"):
        plan.delays("1=2")


def test_headers_may_have_shares_of_a_hundred() -> None:
    """What the shares leave goes without the headers."""
    jason = (("end-user", "jason"),)
    assert plan.headers(["end-user: jason=20"]) == (Weighted(jason, 20.0), Weighted((), 80.0))
    assert plan.headers(["end-user: jason"]) == (Weighted(jason, 100.0),)
    assert plan.headers(["a: b=c"]) == (Weighted((("a", "b=c"),), 100.0),)
    assert plan.headers([]) == ()
    for wrong in ("jason", ": x", "a: b\nc"):
        with pytest.raises(VarkaError, match="is no header"):
            plan.headers([wrong])


@pytest.mark.parametrize(("text", "value"), [("5%", 0.05), ("0.25", 0.25), ("100%", 1.0), ("0", 0.0)])
def test_shares(text: str, value: float) -> None:
    """Per cent or a fraction."""
    assert plan.share(text) == value


@pytest.mark.parametrize("text", ["101%", "-1%", "2", "five", "nan"])
def test_a_share_is_between_nothing_and_all(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(VarkaError, match="is no share"):
        plan.share(text)


def test_picks_follow_the_weights_and_repeat_with_the_seed() -> None:
    """Shares come out within one in a hundred, and the same seed picks the same."""
    made = Plan(
        url="http://x",
        paths=(Weighted("/a", 3.0), Weighted("/d/{delay}", 1.0)),
        error_share=0.1,
        delays=(Weighted(0.0, 1.0), Weighted(1.5, 1.0)),
        headers=plan.headers(["end-user: jason=20"]),
        seed=7,
    )
    picker, again = Picker(made), Picker(made)
    picks = [picker.pick() for _ in range(10_000)]
    assert picks == [again.pick() for _ in range(10_000)]
    paths = Counter(one.path for one in picks)
    assert set(paths) == {"/a", "/a?delay=1.5", "/d/0", "/d/1.5", "/non-existent-page"}
    assert 990 < paths["/non-existent-page"] < 1010
    assert 3340 < paths["/a"] < 3410
    assert 1980 < sum(one.headers == (("end-user", "jason"),) for one in picks) < 2020


@pytest.mark.parametrize("seed", range(10))
def test_few_requests_keep_to_the_shares_too(seed: int) -> None:
    """A fifth of twenty is four, give or take one."""
    picker = plan.Picker(plan.Plan(url="http://x", paths=plan.paths(["/a"]), error_share=0.2, seed=seed))
    assert sum(picker.pick().path != "/a" for _ in range(20)) in (3, 4, 5)
