from __future__ import annotations

import pytest
import yaml

from varka.base.errors import VarkaError
from varka.telemetry.prometheus import configuration
from varka.telemetry.prometheus.configuration import Discovery

TEXT = """
global: {scrape_interval: 15s}
rule_files: [/etc/rules, own.yml]
scrape_configs:
- job_name: pods
  kubernetes_sd_configs:
  - {role: pod, namespaces: {names: [b, a]}, selectors: [{role: pod, label: app=web}]}
  - {role: node}
  bearer_token_file: token
  relabel_configs: [{action: keep, regex: true, source_labels: [x]}]
- job_name: plain
  static_configs: [{targets: ["localhost:9090"]}]
"""


def test_discovery_becomes_files() -> None:
    """Each entry is one file, equal entries share it, and everything else stays; relative paths are meant from the configuration."""
    text, wanted = configuration.translated(TEXT, "/etc/config", "/run/p")
    pod = Discovery(role="pod", namespaces=("a", "b"), labels="app=web")
    assert wanted == (pod, Discovery(role="node"))
    document = yaml.safe_load(text)
    pods, plain = document["scrape_configs"]
    assert pods["file_sd_configs"] == [{"files": sorted([f"/run/p/{pod.file}", "/run/p/node-all.json"]), "refresh_interval": "1m"}]
    assert "kubernetes_sd_configs" not in pods
    assert (pods["bearer_token_file"], pods["relabel_configs"][0]["regex"]) == ("/etc/config/token", True)
    assert plain == {"job_name": "plain", "static_configs": [{"targets": ["localhost:9090"]}]}
    assert document["rule_files"] == ["/etc/rules", "/etc/config/own.yml"]
    assert configuration.translated(TEXT, "/etc/config", "/run/p")[0] == text


@pytest.mark.parametrize("text", ["[]", "a: [", "scrape_configs: [{kubernetes_sd_configs: [{role: what}]}]"])
def test_what_cannot_be_used(text: str) -> None:
    """Texts that are no map, no YAML or name an unknown role are refused."""
    with pytest.raises(VarkaError):
        configuration.translated(text, "/etc", "/run")
