from __future__ import annotations

from varka.control.gateway_api import keeper


def condition(status: str, reason: str, **further: str) -> dict[str, str]:
    return {"type": "Accepted", "status": status, "reason": reason, **further}


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    """Only another status or reason is a change."""
    before = [condition("True", "Accepted", lastTransitionTime="then")]
    assert keeper._timed([condition("True", "Accepted", message="new")], before, "now")[0]["lastTransitionTime"] == "then"
    assert keeper._timed([condition("False", "Accepted")], before, "now")[0]["lastTransitionTime"] == "now"
    assert keeper._timed([condition("True", "Accepted")], None, "now")[0]["lastTransitionTime"] == "now"


def test_conditions_of_listeners_and_parents_are_found_again() -> None:
    """By the listener's name, or by the reference to the parent."""
    parent = {"parentRef": {"name": "web"}, "conditions": [condition("True", "Accepted")]}
    other = {"parentRef": {"name": "old"}, "conditions": [condition("True", "Accepted", lastTransitionTime="long ago")]}
    known = {"parentRef": {"name": "web"}, "conditions": [condition("True", "Accepted", lastTransitionTime="then")]}
    assert keeper._timed([parent], [other, known], "now")[0]["conditions"][0]["lastTransitionTime"] == "then"
    listener = {"name": "http", "conditions": [condition("True", "Accepted")]}
    assert keeper._timed([listener], [{"name": "tcp", "conditions": known["conditions"]}], "now")[0]["conditions"][0]["lastTransitionTime"] == "now"


def test_what_other_controllers_wrote_about_a_route_stays() -> None:
    """Each controller has its own entries."""
    theirs = {"parentRef": {"name": "x"}, "controllerName": "example.org/other"}
    ours = {"parentRef": {"name": "web"}, "controllerName": "istio.io/gateway-controller"}
    assert keeper._parents({"status": {"parents": [theirs, ours]}}, [ours]) == [ours, theirs]
