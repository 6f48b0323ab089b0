"""Addresses of boards, the argument list that reaches one, and what OpenSSH's complaints mean."""

from __future__ import annotations

import base64
import shlex
import shutil
from pathlib import Path

import pytest

from edgebert import openssh
from edgebert.device import board
from edgebert.errors import InputError, SurroundingsError
from edgebert.jobs import TIME_LIMIT, Finished
from edgebert.openssh import Client, Destination, destination

needs_ssh = pytest.mark.skipif(
    shutil.which("ssh") is None, reason="no ssh here: sudo apt-get install openssh-client"
)


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("//pi@raspberrypi.local", Destination("raspberrypi.local", "pi")),
        ("//pi@192.168.1.7:2222", Destination("192.168.1.7", "pi", 2222)),
        ("//pi5", Destination("pi5")),  # an alias of the user's ssh config
        ("//my_board:22", Destination("my_board", None, 22)),
        ("//a.b-c_d@h", Destination("h", "a.b-c_d")),
        ("//pi@[fe80::1%eth0]", Destination("fe80::1%eth0", "pi")),
        ("//[2001:db8::1]:2222", Destination("2001:db8::1", None, 2222)),
        ("//h:65535", Destination("h", None, 65535)),
    ],
)
def test_an_address_is_read_and_written_alike(address: str, wanted: Destination) -> None:
    assert destination(address) == wanted
    assert str(wanted) == f"ssh:{address}"


@pytest.mark.parametrize("address", ["", "//", "pi5", "pi@pi5", "/pi5", ":22"])
def test_an_address_without_a_host_is_told_how_one_is_written(address: str) -> None:
    with pytest.raises(ValueError, match="ssh://user@host or ssh://user@host:port"):
        destination(address)


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=touch x", "-oProxyCommand=x", "--", "a b", "a;b", "a|b", "$(id)", "`id`", "a\nb", "a'b",
        'a"b', "a/b", "é.local", "2001:db8::1", "[::1", "::1]", "[x]", "[]", "%eth0", "a%00", "*", "~",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is not a host's name or address"):
        destination(f"//{host}")
    with pytest.raises(ValueError, match="is not a host's name or address"):
        destination(f"//pi@{host}:22" if ":" not in host and "]" not in host else f"//pi@{host}")


@pytest.mark.parametrize(
    "user", ["", "-oProxyCommand=x", "a b", "a;b", "$(id)", "pi:secret", "me@corp", "é", "a$b"]
)
def test_what_is_no_user_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="is not a user's name"):
        destination(f"//{user}@host")


@pytest.mark.parametrize("port", ["", "0", "65536", "99999999999", "-1", "+22", "ssh", "22 ", "²²", "٢٢", "0x16"])
def test_what_is_no_port_is_refused(port: str) -> None:
    for host in ("host", "[::1]"):
        with pytest.raises(ValueError, match=r"is not a port$"):
            destination(f"//{host}:{port}")


@needs_ssh
def test_a_call_is_an_argument_list_that_never_asks(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host *\n  ConnectTimeout 3\n", encoding="utf-8")
    words = Client(Destination("::1", "pi", 2222), config).command(7.4, "drop", "a; touch 'x' $(id)")
    assert words[0] == "ssh"
    assert words[-3:-1] == ["--", "pi@::1"]  # what follows -- is never an option
    assert words[words.index("-F") + 1] == str(config)
    assert words[words.index("-p") + 1] == "2222"
    options = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "-o")
    assert options["BatchMode"] == "yes"
    assert options["ConnectTimeout"] == "3"  # the user's own
    assert {"ServerAliveInterval", "ServerAliveCountMax"} < options.keys()
    assert options["ClearAllForwardings"] == "yes"
    far = shlex.split(words[-1])  # as the shell there reads it
    assert far[:2] == ["sh", "-c"]
    assert far[4] == "7"
    assert far[5:7] == ["python3", "-c"]
    assert base64.b64decode(far[-3]) == Path(str(board.__file__)).read_bytes()
    assert far[-2:] == ["drop", "a; touch 'x' $(id)"]


@needs_ssh
def test_the_connection_has_a_time_limit_where_the_user_set_none(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host pi5\n  HostName 192.0.2.1\n", encoding="utf-8")
    client = Client(Destination("pi5"), config)
    assert client.connect_s == openssh.CONNECT_S
    assert f"ConnectTimeout={openssh.CONNECT_S}" in client.command(1, "clean")
    assert "-p" not in client.command(1, "clean")
    faulty = tmp_path / "faulty"
    faulty.write_text("Hots pi5\n", encoding="utf-8")
    assert Client(Destination("pi5"), faulty).connect_s == openssh.CONNECT_S


@needs_ssh
@pytest.mark.parametrize(
    ("complaint", "wanted"),
    [
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            ["another machine, or a new card", "ssh-keygen -f {folder}/known -R '[192.0.2.1]:2222'"],
        ),
        ("No ED25519 host key is known.\nHost key verification failed.", ["not known yet", "ssh -F {config} pi5"]),
        ("pi@pi5: Permission denied (publickey).", ["it refuses the key", "ssh-copy-id -F {config} pi5"]),
        ("Received disconnect: 2: Too many authentication failures", ["too many keys"]),
        (
            "ssh: connect to host pi5 port 2222: Connection refused",
            ["refused on port 2222", "sudo systemctl start ssh"],
        ),
        ("ssh: connect to host pi5 port 2222: Connection timed out", ["does not answer on port 2222"]),
        ("Connection timed out during banner exchange", ["does not answer on port 2222"]),
        ("ssh: connect to host pi5 port 2222: No route to host", ["in this network?"]),
        ("ssh: connect to host pi5 port 2222: Network is unreachable", ["in this network?"]),
        ("ssh: Could not resolve hostname pi5: Name or service not known", ["no machine of that name"]),
        ("/c: line 1: Bad configuration option: hots\n/c: terminating", ["/c: line 1: Bad configuration option"]),
        ("Connection to 192.0.2.1 closed by remote host.", ["connection was lost", "the same command again"]),
        ("Timeout, server 192.0.2.1 not responding.", ["connection was lost"]),
        ("client_loop: send disconnect: Broken pipe", ["connection was lost"]),
        ("kex_exchange_identification: read: Connection reset by peer", ["connection was lost"]),
        ("", ["connection was lost"]),
        ("Bad owner or permissions on /home/me/.ssh/config", ["Bad owner or permissions"]),
    ],
)
def test_each_complaint_is_told_with_what_mends_it(tmp_path: Path, complaint: str, wanted: list[str]) -> None:
    config = tmp_path / "config"
    text = f"Host pi5\n  HostName 192.0.2.1\n  Port 2222\n  UserKnownHostsFile {tmp_path}/known\n"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(SurroundingsError) as told:
        Client(Destination("pi5"), config).check(Finished(openssh.LOST, None, complaint), 60)
    said = str(told.value)
    assert said.startswith("ssh://pi5: ")
    assert len(said.splitlines()) == 1
    assert all(part.format(config=config, folder=tmp_path) in said for part in wanted), said


@needs_ssh
def test_a_host_at_the_usual_port_is_forgotten_by_its_name_alone(tmp_path: Path) -> None:
    assert Client(Destination("192.0.2.1")).known_as == ["-R", "192.0.2.1"]
    config = tmp_path / "config"
    config.write_text("Host pi5\n  HostName 192.0.2.1\n  HostKeyAlias kitchen\n", encoding="utf-8")
    assert Client(Destination("pi5", None, 2222), config).known_as == ["-R", "kitchen"]


@pytest.mark.parametrize(
    ("status", "said", "wanted"),
    [
        (127, "sh: 1: python3: not found", "there is no python3; install it: sudo apt-get install python3"),
        (TIME_LIMIT, "", "no answer within 60 s"),
        (137, "", "python3 was killed there"),
        (board.DISK_FULL, "no space left on its disk", "no space left on its disk; free some space"),
        (board.DAMAGED, "damaged on the way: its sha256 is 0, not 1", "not 1; run the same command again"),
        (1, "Traceback\nOSError: Read-only file system", "ended with status 1: OSError: Read-only file system"),
    ],
)
def test_each_end_of_a_call_has_a_message(status: int, said: str, wanted: str) -> None:
    client = Client(Destination("pi5"))
    client.check(Finished(0, None, "a warning"), 60)
    with pytest.raises(SurroundingsError, match=wanted):
        client.check(Finished(status, None, said), 60)


def test_a_config_that_is_not_there_is_told(tmp_path: Path) -> None:
    openssh.check_config(None)
    with pytest.raises(InputError, match=r"--ssh-config .*: no such file"):
        openssh.check_config(tmp_path / "absent")


def test_a_machine_without_openssh_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SurroundingsError, match="sudo apt-get install openssh-client"):
        openssh.require()
