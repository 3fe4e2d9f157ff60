"""Messages described in Python, and that nothing else on the path describes them otherwise."""

from __future__ import annotations

import collections
from importlib import metadata

import pytest

from varka.base.protobuf import Field, describe

MESSAGES = describe(
    "varka.tests.protobuf",
    {
        "Leaf": {"name": Field(1, "string")},
        "Tree": {
            "number": Field(2, "int64", oneof="kind"),
            "leaf": Field(3, "Leaf", oneof="kind"),
            "leaves": Field(4, "Leaf", repeated=True),
            "by_name": Field(5, "Leaf", mapped=True),
        },
    },
)


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        ({"number": 300}, b"\x10\xac\x02"),
        ({"leaf": {"name": "a"}}, b"\x1a\x03\x0a\x01a"),
        ({"leaves": [{"name": "a"}, {}]}, b"\x22\x03\x0a\x01a\x22\x00"),
        ({"by_name": {"k": {"name": "a"}}}, b"\x2a\x08\x0a\x01k\x12\x03\x0a\x01a"),
    ],
)
def test_the_wire_form(fields: dict[str, object], wire: bytes) -> None:
    assert MESSAGES["Tree"](**fields).SerializeToString() == wire
    assert MESSAGES["Tree"].FromString(wire) == MESSAGES["Tree"](**fields)


def test_one_of_several() -> None:
    tree = MESSAGES["Tree"](number=1)
    tree.leaf.name = "a"
    assert tree.WhichOneof("kind") == "leaf"


def test_no_two_packages_install_the_same_file_with_other_contents() -> None:
    """Which of them is imported would depend on the order of installation. Folders' own files may differ: we import no name from them."""
    contents: collections.defaultdict[str, dict[str, str]] = collections.defaultdict(dict)
    for distribution in metadata.distributions():
        for file in distribution.files or []:
            if file.suffix == ".py" and file.name != "__init__.py" and ".." not in file.parts and file.hash:
                contents[str(file)][distribution.name] = file.hash.value
    assert {file: owners for file, owners in contents.items() if len(set(owners.values())) > 1} == {}
