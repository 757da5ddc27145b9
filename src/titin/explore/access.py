"""Who may ask: pages of the server's own name, and from elsewhere only with the token."""

import hmac
import ipaddress
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

COOKIE = "titin_token"


def is_loopback(host: str) -> bool:
    """Whether a server at this address is reached from this machine alone.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_wildcard(host: str) -> bool:
    """Whether this stands for all addresses of the machine, so that it names none.

    Examples
    --------
    >>> is_wildcard("::"), is_wildcard("127.0.0.1")
    (True, False)
    """
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


class Access:
    """Decides over requests by their headers.

    A page of another site can make a browser send requests here, and by a name of its own that leads to this address
    (DNS rebinding) it could read the answers: only names that the server is known by are answered.

    Parameters
    ----------
    host
        The address that the server listens on.
    port
        Its port.
    names
        Further names that it is reached by.

    Attributes
    ----------
    token
        What requests have to bring where others than this machine can reach the server; None where they cannot.
    """

    def __init__(self, host: str, port: int, names: tuple[str, ...] = ()) -> None:
        own = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host, *names}
        self.hosts = {f"{name}:{port}".lower() for name in own}
        self.any_host = not is_loopback(host)  # the token guards it then, and a browser sends it to no other name
        self.token = None if is_loopback(host) else secrets.token_urlsafe(24)

    def knows(self, host: str) -> bool:
        """Whether the ``Host`` of a request is one of the server's names."""
        return self.any_host or host.lower() in self.hosts

    def admits(self, query: str, cookies: str) -> bool:
        """Whether a request brings the token, in its address or as a cookie."""
        if self.token is None:
            return True
        given = parse_qs(query).get("token", [""])[0] or _cookie(cookies)
        return hmac.compare_digest(given.encode(), self.token.encode())


def _cookie(text: str) -> str:
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
