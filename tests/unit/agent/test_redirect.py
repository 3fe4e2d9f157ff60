from __future__ import annotations

import pytest

from varka.agent import redirect
from varka.agent.redirect import Redirection, UnsupportedError


def rules(chain: str, *arguments: str) -> list[str]:
    """The rules of one chain that these arguments make."""
    text = redirect.ruleset(redirect.parse(list(arguments)))
    body = text.split(f"chain {chain} {{\n", 1)[1].split("  }", 1)[0]
    return [line.strip() for line in body.splitlines()][1:]


def test_what_the_injector_says_is_understood() -> None:
    """All flags of a sidecar's init container."""
    line = "-p 15001 -z 15006 -u 1337 -m REDIRECT -i 10.0.0.0/8,192.168.0.0/16 -x 10.1.0.0/16 -b 80,443 -d 15090,15021,15020 -o 25 -q 9000 -c eth1"
    assert redirect.parse([*line.split(), "--log_output_level=default:info"]) == Redirection(
        outbound_port=15001,
        inbound_port=15006,
        include_outbound_cidrs=("10.0.0.0/8", "192.168.0.0/16"),
        exclude_outbound_cidrs=("10.1.0.0/16",),
        include_inbound_ports=("80", "443"),
        exclude_inbound_ports=("15090", "15021", "15020"),
        exclude_outbound_ports=("25",),
        include_outbound_ports=("9000",),
        exclude_interfaces=("eth1",),
    )


def test_everything_is_captured_by_default() -> None:
    """But Envoy's own connections, told by their mark, and loopback."""
    assert rules("inbound") == ["meta l4proto tcp redirect to :15006"]
    assert rules("outbound") == [
        'ip saddr 127.0.0.6 oifname "lo" return',
        'meta mark 1337 oifname "lo" ip daddr != 127.0.0.1 meta l4proto tcp redirect to :15006',
        'oifname "lo" return',
        "meta mark 1337 return",
        "ip daddr 127.0.0.1 return",
        "meta l4proto tcp redirect to :15001",
    ]


def test_a_second_run_replaces_the_first() -> None:
    """The table is made, deleted and made again in one transaction."""
    assert redirect.ruleset(Redirection()).splitlines()[:3] == ["table ip istio", "delete table ip istio", "table ip istio {"]


def test_inbound_ports() -> None:
    """Excluded ones return first; a list captures these only; none at all captures nothing."""
    assert rules("inbound", "-d", "15090,22") == ["tcp dport { 15090, 22 } return", "meta l4proto tcp redirect to :15006"]
    assert rules("inbound", "-b", "80,443", "-z", "16006") == ["tcp dport { 80, 443 } redirect to :16006"]
    assert rules("inbound", "-b", "") == []


def test_outbound_ranges_and_ports() -> None:
    """Exclusions come first, ports are captured whatever the range, overlapping ranges are joined."""
    found = rules("outbound", "-i", "10.0.0.0/9,10.128.0.0/9", "-x", "10.1.0.0/16", "-o", "25", "-q", "9000")
    assert found[5:] == [
        "tcp dport { 25 } return",
        "ip daddr { 10.1.0.0/16 } return",
        "tcp dport { 9000 } redirect to :15001",
        "ip daddr { 10.0.0.0/8 } meta l4proto tcp redirect to :15001",
    ]
    assert rules("outbound", "-i", "")[5:] == []


def test_interfaces_are_left_alone() -> None:
    """In both directions."""
    assert rules("inbound", "-c", "eth1,br-0")[:2] == ['iifname "eth1" return', 'iifname "br-0" return']
    assert 'oifname "eth1" return' in rules("outbound", "-c", "eth1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "TPROXY"], "interception mode TPROXY is not supported"),
        (["-d", "80; flush ruleset"], "is not a port"),
        (["-b", "0"], "is not a port"),
        (["-o", "65536"], "is not a port"),
        (["-i", "10.0.0.0/99"], "give IPv4 ranges"),
        (["-x", "fd00::/8"], "give IPv4 ranges"),
        (["-c", 'lo" accept; x "'], "is not the name of a network interface"),
    ],
)
def test_what_is_no_port_range_or_name_never_reaches_nft(arguments: list[str], said: str) -> None:
    """An annotation of a pod cannot write rules of its own; the message says what to give instead."""
    with pytest.raises(UnsupportedError, match=said):
        redirect.ruleset(redirect.parse(arguments))


def test_a_refusal_is_the_container_s_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, the reason on standard error, nothing applied."""
    assert redirect.main(["-m", "TPROXY"]) == 1
    assert capsys.readouterr().err.startswith("istio-iptables: interception mode TPROXY is not supported")


def test_the_ruleset_can_be_shown_only(capsys: pytest.CaptureFixture[str]) -> None:
    """`--skip-rule-apply` prints what would be applied."""
    assert redirect.main(["--skip-rule-apply"]) == 0
    assert capsys.readouterr().out == redirect.ruleset(Redirection())


def test_without_nft_the_container_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert redirect.main([]) == 1
    assert "istio-iptables: cannot run nft" in capsys.readouterr().err


def test_virtual_interfaces() -> None:
    """What comes in from a virtual machine is captured like what an application sends, under the same exceptions."""
    rules = redirect.ruleset(redirect.parse(["-k", "net1", "-o", "22", "-x", "10.0.0.0/8"]))
    inbound = rules.partition("chain outbound")[0]
    assert 'iifname "net1" tcp dport { 22 } return' in inbound
    assert 'iifname "net1" ip daddr { 10.0.0.0/8 } return' in inbound
    assert inbound.index('iifname "net1" meta l4proto tcp redirect to :15001') < inbound.index("redirect to :15006")


@pytest.mark.parametrize(("arguments", "environment"), [(["--redirect-dns"], {}), ([], {"ISTIO_META_DNS_CAPTURE": "true"})])
def test_dns_goes_to_the_agent(arguments: list[str], environment: dict[str, str]) -> None:
    """Queries to any name server, before anything is let pass, but the agent's own ones."""
    lines = [line.strip() for line in redirect.ruleset(redirect.parse(arguments, environment)).splitlines()]
    first = lines.index("type nat hook output priority -100; policy accept;")
    assert lines[first + 1 : first + 3] == [f"meta mark != 1337 {protocol} dport 53 redirect to :15053" for protocol in ("udp", "tcp")]


def test_dns_is_left_alone_unless_wanted() -> None:
    """Without the setting there is no rule for it."""
    assert "53" not in redirect.ruleset(redirect.parse([])).replace("15001", "").replace("15006", "")
