"""Secrets in text: tokens, keys and what is signed are hidden in whatever is printed of a server or a URL."""

import contextlib
import os
import re
import sys

HIDDEN = "***"
_USER = re.compile(r"""\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@"'<>]+@""", re.IGNORECASE)  # https://user:password@host
_SECRET = re.compile(
    r"""
      (?P<scheme>\b(?:bearer|basic|token)\s{1,9}) (?=\S{0,60}\d|\S{20}) [\w.~+/=:-]{8,}  # an Authorization header
    | (?P<query>\b[a-z][a-z0-9+.-]{0,20}://[^\s?"'<>]{0,1000}\?) [^\s"'<>)\]}]+  # https://host/file?signature=…
    | (?P<named>(?:(?<![\w-])[\w-]{0,40})?(?:token|secret|passw(?:or)?d|signature|api[_-]?key
        |access[_-]?key(?:[_-]?id)?|account[_-]?key|authorization|credential|sig|sas)
        ["']?\s{0,9}[=:]\s{0,9}["']?(?:(?:bearer|basic|token)\s{1,9})?)                       # name=value
        (?!\*\*\*) [^\s"'&,;<>)\]}]{4,}
    | \b(?:hf|api_org|ghp|gho|ghs|github_pat|glpat|sk|xox[abp])[_-][A-Za-z0-9_-]{8,}       # tokens by their look
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \beyJ[\w-]{8,500}\.[\w-]+(?:\.[\w-]*)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HOLDERS = re.compile(r"TOKEN|SECRET|PASSWORD|ACCESS_KEY|API_KEY|ACCOUNT_KEY|SAS|CREDENTIAL")
_SHORTEST = 8  # of a secret of the environment: what is shorter is in any text
_concealed: set[str] = set()


def mask(text: object) -> str:
    """Hide the secrets in a text.

    Hidden are tokens and keys by their look, what stands behind ``Bearer`` and names such as ``token=``, users and
    queries of URLs (they may be signed), and the values of environment variables that hold secrets.

    Examples
    --------
    >>> mask("GET https://me:pw@host/file?X-Amz-Signature=0a1b: Bearer abcdefgh12 hf_abcdefghijkl")
    'GET https://***@host/file?*** Bearer *** ***'
    """
    shown = str(text)
    for secret in _known():
        shown = shown.replace(secret, HIDDEN)
    return _SECRET.sub(_hide, _USER.sub(rf"\1{HIDDEN}@", shown))


def conceal(secret: str) -> None:
    """Have `mask` hide a secret of this process that no variable of the environment holds."""
    _concealed.add(secret)


def _hide(found: re.Match[str]) -> str:
    return next((part for part in found.groupdict().values() if part is not None), "") + HIDDEN


def _known() -> list[str]:
    """Secrets of this process: of its environment, and the token that the Hub's library has stored."""
    secrets = [value for name, value in os.environ.items() if _HOLDERS.search(name.upper())] + list(_concealed)
    hub = sys.modules.get("huggingface_hub")
    if hub is not None:
        with contextlib.suppress(Exception):  # whatever is wrong with the stored token, there is none to hide
            secrets.append(hub.get_token() or "")
    return sorted((secret for secret in secrets if len(secret) >= _SHORTEST), key=len, reverse=True)
