"""No secret is printed, wherever in a text it stands; and text without secrets is left as it is."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titin.console import complain, guard, say
from titin.masking import mask

CHARACTERS = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
SECRET = st.text(CHARACTERS, min_size=20, max_size=40)
PLACES = [
    "hf_{}", "Authorization: Bearer {}", "authorization: bearer hf_{}", "Basic {}", '{{"token": "{}"}}', "token={}",
    "https://host/file?X-Amz-Signature={}&X-Amz-Date=1", "https://me:{}@host/file", "https://{}@host", "api_key={}",
    "s3://bucket/key?sig={}", "AWS_SECRET_ACCESS_KEY={}", "password: {}", "url='https://host/a/b?se=1&sp=r&sig={}'",
    "GET https://host/?a=b&c={} failed", "AccountKey={};EndpointSuffix=x", "sk-{}", "ghp_{}", "access-token={}",
    "{{'Authorization': 'Bearer {}'}}", "Client error for url 'https://host/resolve/main/x?token={}'",
]  # fmt: skip
PLAIN = [
    "the token may not write there", "5 tokens: ascending", "https://huggingface.co/datasets/me/atlas is not there",
    "hf://datasets/me/atlas@main/atlas_10x_expression.parquet", "cell AAACCTGAGAAACCAT-1, gene MT-CO1", "s3://b/key/x",
    "https://doi.org/10.1038/s43587-024-00613-3", "secretory cells", "a basic question", "token verification",
    "me@host.org",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@given(secret=SECRET)
def test_a_secret_is_hidden_wherever_it_stands(place: str, secret: str) -> None:
    shown = mask(f"before {place.format(secret)} after")
    assert secret not in shown
    assert "***" in shown
    assert shown.startswith("before ")


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert mask(text) == text


@given(text=st.text())
def test_any_text_can_be_masked_and_once_is_enough(text: str) -> None:
    assert mask(mask(text)) == mask(text)


def test_secrets_of_the_environment_are_hidden_whatever_they_look_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_ACCESS_KEY", "correct horse")
    monkeypatch.setenv("MY_TOKEN", "short")  # is in many a text
    assert mask("they said: correct horse! in short") == "they said: ***! in short"


def test_what_is_printed_to_stderr_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    guard()
    secret = "hf_" + "a" * 30
    complain(f"bad {secret}", f"not {secret}")
    say(f"line {secret}", err=True)
    record = logging.LogRecord("x", logging.WARNING, "", 0, f"logged {secret}", None, None)
    assert logging.lastResort is not None
    assert secret not in logging.lastResort.format(record)
    shown = capsys.readouterr().err
    assert secret not in shown
    assert shown.count("***") == 3
