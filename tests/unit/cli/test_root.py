"""The root of the command line: every command is there, and none is imported before it is chosen."""

import subprocess
import sys

import pytest

from remit.cli.__main__ import COMMANDS, group_for, main, prepare


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    shown = capsys.readouterr().out
    assert (ended.value.code, [name for name in COMMANDS if name not in shown]) == (0, [])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_there(name: str) -> None:
    command = group_for(name).commands[name]
    assert command.help


def test_help_imports_no_command() -> None:
    modules = {entry.module for entry in COMMANDS.values()}
    look = (
        "import contextlib, io, sys\n"
        "from remit.cli.__main__ import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    main(['--help'])\n"
        "print('\\n'.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert modules & set(done.stdout.split()) == set()


def test_a_missing_extra_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(_name: str) -> object:
        raise ModuleNotFoundError("No module named 'rich'", name="rich")

    monkeypatch.setattr("remit.cli.__main__.import_module", absent)
    with pytest.raises(SystemExit) as ended:
        main(["cluster", "up"])
    said = capsys.readouterr().err
    assert (ended.value.code, said) == (1, "remit cluster: rich is not installed; try: pip install 'remit[cli]'\n")


def test_root_of_a_plain_su_finds_system_programs_too() -> None:
    look = (
        "import contextlib, os\n"
        "from remit.cli.__main__ import main\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main(['--version-that-is-not'])\n"
        "print(os.environ['PATH'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert done.stdout.split()[-1] == "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def test_kubectl_keeps_its_cache_among_ours_unless_told_otherwise() -> None:
    ours, theirs = {"REMIT_CACHE": "/cache"}, {"KUBECACHEDIR": "/elsewhere"}
    for environment in (ours, theirs):
        prepare(environment)
    assert (ours["KUBECACHEDIR"], theirs["KUBECACHEDIR"]) == ("/cache/kubectl", "/elsewhere")
