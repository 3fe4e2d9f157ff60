from __future__ import annotations

from varka.cluster.apiserver.exposition import Exposition


def test_series_stand_together_and_labels_are_escaped() -> None:
    """A metric is one block whatever the order of adding; quotation marks, backslashes and line breaks are escaped."""
    out = Exposition()
    out.add("gauge", "a", 1, {"x": 'say "hi"\\\n'})
    out.add("counter", "b", 2.5)
    out.add("gauge", "a", True, {"x": "ü"})
    assert out.text() == '# TYPE a gauge\na{x="say \\"hi\\"\\\\\\n"} 1\na{x="ü"} 1\n# TYPE b counter\nb 2.5\n'
