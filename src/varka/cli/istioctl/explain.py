"""`istioctl explain`: which listener, routes and cluster a call meets at a proxy, or why none, without sending it."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import click

from varka.base.errors import VarkaError
from varka.cli.istioctl import session
from varka.cli.istioctl.main import Globals
from varka.cli.istioctl.proxy_config import verbs

if TYPE_CHECKING:
    from varka.analysis.simulation.call import Call
    from varka.analysis.simulation.configuration import Configuration
    from varka.cli.istioctl.session import Session
    from varka.client.api import Object

SCHEMES = {"http": ("http", False, 80), "https": ("http", True, 443), "h2c": ("http2", False, 80), "h2": ("http2", True, 443)}
SCHEMES |= {"grpc": ("http2", False, 80), "grpcs": ("http2", True, 443), "tcp": ("tcp", False, 0), "tls": ("tcp", True, 443)}
"""Scheme → protocol, whether the client encrypts, and the port where none is given."""


@click.command(epilog="Example: istioctl explain deployment/productpage-v1 http://reviews:9080/reviews/0 -H 'end-user: jason'")
@click.argument("what", nargs=-1, required=True, metavar="[PROXY] URL")
@click.option("-f", "--file", default="", metavar="FILE", help="Read this config dump instead of asking a proxy; - is standard input.")
@click.option("--inbound", is_flag=True, help="The call comes to the workload, rather than from it.")
@click.option("--mtls", is_flag=True, help="The client is another proxy and uses the mesh's mutual TLS.")
@click.option("-X", "--method", default="GET", show_default=True, metavar="NAME", help="Method of the request.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the request; may be repeated.")
@click.option("--address", default="", metavar="IP", help="Address that is dialled; otherwise that of the service.")
@click.option("--sni", default=None, metavar="NAME", help="Server name in the TLS handshake; otherwise the host of the URL.")
@click.option("--alpn", default=None, metavar="NAMES", help="ALPN names of the TLS handshake, with commas; otherwise those of the protocol.")
@click.option("--source", default="", metavar="IP", help="Address of the client.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format.")
@click.pass_obj
def explain(flags: Globals, /, what: tuple[str, ...], file: str, output: str, **asked: Any) -> None:
    """Tell which listener, routes and cluster a call to URL meets at PROXY, or why none.

    Nothing is sent: the answer is read from the proxy's configuration. Schemes are http, https, h2c, h2, grpc, grpcs,
    tcp and tls.
    """
    from varka.analysis.simulation import configuration, simulate, text
    from varka.cli.istioctl.proxy_config import dump as dumps

    if len(what) != (1 if file else 2):
        raise click.UsageError("give a proxy and a URL, or --file and a URL")
    url, address = what[-1], asked.pop("address")
    if file:
        dump = verbs.fetch(flags, "", file)
    else:
        dump, found = session.run(flags, lambda opened: _ask(opened, what[0], url))
        address = address or found
    config = configuration.of_dump({"configs": dumps.parse(dump).configs})
    call = call_of(config, {**asked, "url": url, "address": address})
    result = simulate.run(config, call)
    if output == "json":
        click.echo(json.dumps(result.as_dict(), indent=4))
    else:
        click.echo(text.render(call, result), nl=False)


async def _ask(opened: Session, proxy: str, url: str) -> tuple[str, str]:
    """The proxy's config dump, and the address of the URL's host."""
    namespace, pod = await session.pod_of(opened, proxy)
    dump = (await opened.envoy_get(namespace, pod, "/config_dump")).decode()
    return dump, await _address(opened, namespace, _parts(url).hostname or "")


async def _address(opened: Session, namespace: str, host: str) -> str:
    """The address of a Service or ServiceEntry by any of its names; empty when there is none."""
    from varka.client import resources
    from varka.client.api import ApiError, Gvr

    if _is_ip(host):
        return host
    name, where, rest = (*host.split(".", 2), "", "")[:3]
    if rest == "" or rest.startswith("svc"):
        try:
            service = await opened.api.get(resources.SERVICES, name, where or namespace)
            return _own_address(str(service["spec"].get("clusterIP") or ""))
        except ApiError as error:
            if error.code != 404:
                raise
    return _of_entries((await opened.api.list(Gvr("networking.istio.io", "v1", "serviceentries"))).items, host)


def _own_address(address: str) -> str:
    return "" if address == "None" else address


def _of_entries(entries: list[Object], host: str) -> str:
    for entry in entries:
        if host in entry["spec"].get("hosts", ()):
            return next((address for address in entry["spec"].get("addresses", ()) if _is_ip(address)), "")
    return ""


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        known = parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        known = False
    if not known:
        raise VarkaError(f"{url!r} is no URL to explain", f"write SCHEME://HOST[:PORT][/PATH], with one of the schemes {', '.join(SCHEMES)}")
    return parts


def call_of(config: Configuration, asked: dict[str, Any]) -> Call:
    """The call that URL and flags mean at a proxy with this configuration."""
    from varka.analysis.simulation.call import Call, Direction, Protocol, Security
    from varka.envoy import names

    parts = _parts(asked["url"])
    protocol, encrypted, default_port = SCHEMES[parts.scheme]
    port = parts.port or default_port
    if not port:
        raise VarkaError(f"{asked['url']!r} names no port", "add one, as in tcp://db:3306")
    captures = any(listener.name == names.VIRTUAL_OUTBOUND for listener in config.listeners)
    headers = dict(_header(text) for text in asked["headers"])
    host = headers.pop("host", "") or parts.netloc.rpartition("@")[2]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme.startswith("grpc"):
        headers.setdefault("content-type", "application/grpc")
    return Call(
        port=port,
        address=asked["address"] or (parts.hostname if _is_ip(parts.hostname or "") else "") or "",
        direction=Direction.INBOUND if asked["inbound"] else Direction.OUTBOUND if captures else Direction.GATEWAY,
        protocol=Protocol(protocol),
        security=Security.MTLS if asked["mtls"] else Security.TLS if encrypted else Security.PLAINTEXT,
        sni=asked["sni"],
        alpn=tuple(name.strip() for name in asked["alpn"].split(",") if name.strip()) if asked["alpn"] is not None else None,
        host=host,
        path=path,
        method="POST" if parts.scheme.startswith("grpc") and asked["method"] == "GET" else asked["method"].upper(),
        headers=headers,
        source_ip=asked["source"],
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise VarkaError(f"{text!r} is no header", "write it as 'name: value'")
    return name.strip().lower(), value.strip()
