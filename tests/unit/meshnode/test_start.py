"""What a node does first, and what the zygote that forks it has done for it."""

import os
import ssl
from pathlib import Path

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
