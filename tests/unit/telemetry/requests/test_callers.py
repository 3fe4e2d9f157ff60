from __future__ import annotations

from varka.telemetry.requests import callers
from varka.telemetry.requests.callers import Callers
from varka.telemetry.requests.record import Line, Request, Workload

SHOP, WEB = Workload(name="shop"), Workload(name="web")


def request(number: int) -> Request:
    return Request(line=Line(start_time="", path=f"/{number}"), source=Workload(name="192.0.2.7"), destination=SHOP, reporter=SHOP)


def test_either_line_may_be_first() -> None:
    """A request waits for its caller, and a caller is known to what comes later, also to a second attempt."""
    made = Callers(2.0)
    assert made.hold(("a", "10.0.0.2"), request(1), 0.0) == []
    assert made.caller(("a", "10.0.0.2")) is None
    assert made.called(("a", "10.0.0.2"), WEB) == [request(1)]
    assert made.called(("a", "10.0.0.2"), WEB) == []
    assert made.caller(("a", "10.0.0.2")) == WEB
    assert made.caller(("a", "10.0.0.9")) is None


def test_nothing_waits_longer_than_it_may() -> None:
    """Then it is shown with what is known."""
    made = Callers(2.0)
    made.hold(("a", "x"), request(1), 0.0)
    made.hold(("b", "x"), request(2), 1.0)
    assert list(made.overdue(1.9)) == []
    assert list(made.overdue(2.0)) == [request(1)]
    assert list(made.overdue(9.0)) == [request(2)]
    assert list(made.overdue(9.0)) == []


def test_memory_is_bounded() -> None:
    """The oldest make room, and what waited is shown, not lost."""
    made = Callers(2.0)
    crowded_out = [one for number in range(callers.MOST + 2) for one in made.hold((str(number), "x"), request(number), 0.0)]
    assert crowded_out == [request(0), request(1)]
    for number in range(callers.MOST + 1):
        made.called((str(number), "y"), WEB)
    assert (made.caller(("0", "y")), made.caller(("1", "y"))) == (None, WEB)
