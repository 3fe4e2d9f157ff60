from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from varka.cluster import packages
from varka.telemetry.prometheus import configuration

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.system


@pytest.fixture
def promtool() -> str:
    """The program that tests rules."""
    found = packages.find("promtool", "prometheus")
    if found is None:
        pytest.skip(packages.advice("prometheus"))
    return str(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the add-on's ConfigMap, as the pod sees them."""
    documents = yaml.safe_load_all((ROOT / "samples/addons/prometheus.yaml").read_text())
    data = next(each["data"] for each in documents if each["kind"] == "ConfigMap")
    for name, text in data.items():
        (tmp_path / name).write_text(text)
    shutil.copy(Path(__file__).with_name("alert_rules.yaml"), tmp_path / "tests.yaml")
    return tmp_path


def test_the_alerts_fire_when_they_should(promtool: str, folder: Path) -> None:
    """Every alert of the add-on fires on series of trouble, and none on the ones beside."""
    done = subprocess.run([promtool, "test", "rules", "tests.yaml"], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested(folder: Path) -> None:
    """No alert of the add-on is without a case that makes it fire."""
    rules = [rule for group in yaml.safe_load((folder / "alerting_rules.yml").read_text())["groups"] for rule in group["rules"]]
    tested = [one for test in yaml.safe_load((folder / "tests.yaml").read_text())["tests"] for one in test.get("alert_rule_test", ())]
    assert {rule["alert"] for rule in rules} == {one["alertname"] for one in tested if one["exp_alerts"]}


def test_every_recorded_series_is_tested(folder: Path) -> None:
    """No recording rule of the add-on is without an expectation of its values."""
    rules = [rule["record"] for group in yaml.safe_load((folder / "recording_rules.yml").read_text())["groups"] for rule in group["rules"]]
    tests = yaml.safe_load((folder / "tests.yaml").read_text())["tests"]
    asked = " ".join(one["expr"] for test in tests for one in test.get("promql_expr_test", ()))
    assert [rule for rule in rules if rule not in asked] == []


@pytest.mark.parametrize("where", ["samples/addons/prometheus.yaml", "../shared/istio-1.28.2/samples/addons/prometheus.yaml"])
def test_the_program_takes_the_configurations(promtool: str, tmp_path: Path, where: str) -> None:
    """Our configuration and the unchanged one of upstream are valid for the program once discovery is translated."""
    if not (ROOT / where).exists():
        pytest.skip("the upstream file is not there")
    documents = [each for each in yaml.safe_load_all((ROOT / where).read_text()) if each]
    text = next(each["data"]["prometheus.yml"] for each in documents if each["kind"] == "ConfigMap")
    made, wanted = configuration.translated(text, "/etc/config", str(tmp_path))
    assert {discovery.role for discovery in wanted} >= {"pod", "node", "endpoints"}
    (tmp_path / "prometheus.yml").write_text(made)
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", "prometheus.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
