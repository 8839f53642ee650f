"""What a node does first, and what the zygote that forks it has done for it."""

import os
import shutil
import socket
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest
from meshnode import cli, tls, zygote
from meshnode.identity import Authority
from meshnode.rehearsal import rehearse


@pytest.mark.parametrize("file", ["/a/node.json", "node.json", "a b"])
def test_a_node_is_started_as_by_the_parser(file):
    arguments = ["run", "--config", file]
    assert vars(cli._parsed(arguments)) == vars(cli._parser().parse_args(arguments))


@pytest.mark.parametrize(
    "arguments", [["run"], ["run", "--config"], ["run", "--config", "-x"], ["run", "-c", "x"]]
)
def test_other_words_are_the_parsers_to_refuse(arguments, capsys):
    with pytest.raises(SystemExit):
        cli._parsed(arguments)
    assert "usage: meshnode run" in capsys.readouterr().err


def test_a_forked_node_has_the_environment_that_was_asked_for_and_no_more(monkeypatch):
    monkeypatch.setattr(os, "environ", {"KEPT": "1", "CHANGED": "1", "GONE": "1"})
    zygote._take_on({"KEPT": "1", "CHANGED": "2", "NEW": ""})
    assert os.environ == {"KEPT": "1", "CHANGED": "2", "NEW": ""}


def test_contexts_made_ahead_are_of_one_node(tmp_path: Path):
    authority = Authority.load_or_create(tmp_path / "ca")
    for name in ("a", "b"):
        authority.issue(tmp_path / name, name)
    rehearse()
    made = tls._ahead[0]
    first, second = tls.Contexts(tmp_path / "a"), tls.Contexts(tmp_path / "b")
    assert (first.server, first.client) == made, "else nothing was gained"
    assert not {first.server, first.client} & {second.server, second.client}
    for contexts in (first, second):
        for context in (contexts.server, contexts.client):
            assert context.minimum_version is ssl.TLSVersion.TLSv1_3
            assert context.verify_mode is ssl.CERT_REQUIRED
            assert len(context.get_ca_certs()) == 1, "the authority's, and no public ones"
    assert first.server.num_tickets == second.server.num_tickets == 0


def handshake(client: tls.Contexts, server: tls.Contexts) -> list[bytes | None]:
    """Whom each end of a link knows the other to be, the client's first. Raises ssl.SSLError where
    one refuses the other.
    """
    ends = (
        tls.Channel(client.client, server_side=False),
        tls.Channel(server.server, server_side=True),
    )
    for _ in range(2):
        for one, other in (ends, ends[::-1]):
            one.feed(other.pull())
            other.feed(one.pull())
    return [end.peer_id for end in ends]


def test_a_client_has_key_and_trust_of_its_node(tmp_path: Path):
    """It borrows the server's: it proves who it is, and whoever it dials is looked at."""
    ours, others = (Authority.load_or_create(tmp_path / name) for name in ("ours", "others"))
    ids = [ours.issue(tmp_path / name, name) for name in ("a", "b")]
    others.issue(tmp_path / "c", "c")
    others.issue(tmp_path / "d", "d")
    shutil.copy(tmp_path / "a" / "ca.pem", tmp_path / "d")  # it trusts us, and we do not trust it
    a, b, c, d = (tls.Contexts(tmp_path / name) for name in ("a", "b", "c", "d"))
    assert handshake(a, b) == ids[::-1]
    for client, server in ((a, c), (c, a), (d, a), (a, d)):
        with pytest.raises(ssl.SSLError, match="certificate verify failed"):
            handshake(client, server)


def test_a_zygote_of_many_rehearses_and_then_fills_the_holes(tmp_path: Path, monkeypatch):
    done: list[object] = []
    monkeypatch.setattr(zygote, "rehearse", lambda: done.append("libraries"))
    monkeypatch.setattr(zygote, "rehearse_start", done.append)
    monkeypatch.setattr(zygote, "fill_holes", lambda: done.append("holes"))
    monkeypatch.setattr(zygote, "_Zygote", lambda *_: SimpleNamespace(serve=lambda: None))
    monkeypatch.setattr(zygote.gc, "freeze", lambda: None)
    with socket.socket() as requests:
        zygote.serve(requests, lambda _: 0)
        assert done == ["libraries"], "for a few it does not pay"
        monkeypatch.setenv(zygote.REHEARSAL, str(tmp_path))
        zygote.serve(requests, lambda _: 0)
    assert done[1:] == ["libraries", tmp_path, "holes"]
    assert zygote.REHEARSAL not in os.environ
