from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from varka.base.errors import VarkaError
from varka.cli import env, main, up
from varka.cluster import checks, forwards, listeners, settings, state


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder for clusters of its own."""
    monkeypatch.setenv("VARKA_HOME", str(tmp_path))
    monkeypatch.delenv("VARKA_CLUSTER", raising=False)
    return tmp_path


def test_every_verb_has_a_module_with_an_example() -> None:
    """The table of help lines and the modules agree."""
    for verb in main.VERBS:
        command = main.varka.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        assert command.name == verb
        assert "Example: " in (command.epilog or "")


def test_help_imports_nothing_heavy() -> None:
    """`varka --help` must be quick."""
    heavy = "('aiohttp', 'cryptography', 'grpc', 'yaml', 'rich')"
    code = f"import sys; from varka.cli import main; main.run(main.varka, ['--help']); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [["fly"], ["up", "--name", "Ü"], ["status", "-o", "xml"], ["up", "extra"]])
def test_wrong_usage_is_exit_code_2(home: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown verbs, names, options and arguments."""
    assert main.run(main.varka, arguments) == 2


@pytest.mark.parametrize("arguments", [["env"], ["kubectl", "get", "pods"], ["istioctl", "version"]])
def test_without_a_cluster_a_verb_says_how_to_start_one(home: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, message and hint on standard error."""
    assert main.run(main.varka, arguments) == 1
    assert capsys.readouterr().err == "error: there is no cluster varka\nhint: start it with varka up\n"


def test_down_without_a_cluster_is_fine(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The wish is fulfilled already."""
    assert main.run(main.varka, ["down"]) == 0
    assert capsys.readouterr().out == "cluster varka is not running\n"


def test_status_without_a_cluster_is_unhealthy(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 and the mend."""
    assert main.run(main.varka, ["status", "--name", "two"]) == 1
    assert "varka up --name two starts it again" in capsys.readouterr().out


def test_env_is_quoted_for_the_shell(home: Path) -> None:
    """A path with a blank survives eval, and PATH is extended once."""
    folder = state.StateFolder(home / "a b" / "varka")
    folder.run.mkdir(parents=True)
    folder.kubeconfig.write_text("{}")
    place = forwards.Place(id="istio-system/istio-ingressgateway", address="127.0.0.2", ports={80: 8080, 443: 443})
    forwards.write(folder.forwards_file, [], [place])
    text = CliRunner(env={"VARKA_HOME": str(home / "a b")}).invoke(importlib.import_module("varka.cli.env").command, []).output
    script = f'{text}\n{text}\necho "$KUBECONFIG|$GATEWAY_URL|$INGRESS_HOST|$INGRESS_PORT|$SECURE_INGRESS_PORT|$PATH"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/bin"})
    root = folder.root
    assert done.stdout.strip() == f"{root}/kubeconfig|127.0.0.2:8080|127.0.0.2|8080|443|{root}/bin:/bin"
    assert (root / "bin" / "kubectl").exists()


def test_images_are_added_listed_and_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The catalog is a file of the cluster; an unknown name is an error with the way out."""
    assert main.run(main.varka, ["image", "add", "shop:1", "-e", "PORT=80", "-w", "/srv", "--", "python3", "shop.py", "--port", "80"]) == 0
    capsys.readouterr()
    assert main.run(main.varka, ["image", "list", "-o", "json"]) == 0
    recipe = {"source": "added", "entrypoint": ["python3", "shop.py", "--port", "80"], "env": {"PORT": "80"}, "workdir": "/srv"}
    found = json.loads(capsys.readouterr().out)
    assert (found["shop:1"], found["istio/pilot"]["source"]) == (recipe, "mesh_images.yaml")
    assert main.run(main.varka, ["image", "remove", "shop:1"]) == 0
    assert main.run(main.varka, ["image", "remove", "shop:1"]) == 1
    assert "varka image list shows those that were" in capsys.readouterr().err


def test_without_a_gateway_there_is_no_gateway_url(home: Path) -> None:
    """An empty variable would look like an address."""
    folder = state.folder("varka")
    folder.create()
    assert env.variables(folder) == {"KUBECONFIG": str(folder.kubeconfig)}


def test_a_required_thing_that_lacks_stops_up_with_the_mend() -> None:
    """Before anything was done."""
    lacking = checks.Check(name="nft", ok=False, required=True, found="missing", mend="apt-get install -y nftables")
    optional = checks.Check(name="curl", ok=False, required=False, found="missing", mend="x")
    with pytest.raises(VarkaError, match=r"nft: missing\); apt-get install -y nftables$"):
        up.require([lacking, optional])
    up.require([optional])


def configured(folder: state.StateFolder, egress: bool | None = None) -> settings.ClusterSettings:
    """The settings of a start; the port is free again."""
    made, listener = up.configure(folder, up.Wanted(name=folder.name, egress=egress))
    listener.close()
    return made


def test_the_api_port_is_kept_from_one_start_to_the_next(home: Path) -> None:
    """Unless somebody else has taken it meanwhile."""
    folder = state.folder("varka")
    folder.create()
    first = configured(folder).api_port
    assert configured(folder).api_port == first
    with listeners.bind("127.0.0.1", first):
        assert configured(folder).api_port != first


def test_a_port_is_taken_when_it_is_chosen(home: Path) -> None:
    """Two clusters that start at the same moment do not get the same one, though no relay runs yet."""
    one, two = state.folder("one"), state.folder("two")
    one.create()
    two.create()
    first, opened = up.configure(one, up.Wanted(name="one"))
    with opened:
        assert opened.getsockname() == ("127.0.0.1", first.api_port)
        assert configured(two).api_port != first.api_port


def test_a_flag_changes_the_kept_settings_and_its_absence_does_not(home: Path) -> None:
    """--no-egress holds until --egress."""
    folder = state.folder("two")
    folder.create()
    configured(folder, egress=False)
    assert configured(folder).egress is False
    assert configured(folder, egress=True).egress is True
    assert settings.load(folder.settings).context == "varka-two"
