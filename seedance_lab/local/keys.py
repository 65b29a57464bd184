"""Who may use the engine: everybody with something like a key, or only those with one of a few.

The keys themselves are not kept, only their digests, so that they can get into no log, no message and no file.
Whoever has one is the one account that there is.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from seedance_lab.errors import EngineError


class Keys:
    """The keys that are good.

    Args:
        keys: Each `ID:SECRET`; none for any.

    Raises:
        EngineError: One of them is no key.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests: list[bytes] = []
        for number, key in enumerate(keys, 1):
            name, _, secret = key.partition(":")
            if not name or not secret or not key.isascii() or not key.isprintable() or " " in key:
                raise EngineError(
                    f"Key number {number} is no key: it is written ID:SECRET, in letters, digits and signs without "
                    "a space. The engine was not started and nothing was sent. Try --key me:some-secret"
                )
            self._digests.append(_digest(key))

    @property
    def are_any(self) -> bool:
        """Whether any key is good."""
        return not self._digests

    def __contains__(self, key: str) -> bool:
        """Whether this key is good."""
        digest = _digest(key)
        return self.are_any or any(hmac.compare_digest(digest, known) for known in self._digests)

    def token(self, expires_at: float) -> str:
        """A token for uploads that is good until then, in seconds since the epoch; after a restart too."""
        if self.are_any:
            return secrets.token_urlsafe(24)
        said = f"{expires_at:.0f}"
        return f"{said}.{_signed(self._digests[0], said)}"

    def is_token(self, text: str, now: float) -> bool:
        """Whether this is a token for uploads that is good now."""
        if self.are_any:
            return bool(text)
        said, _, signature = text.partition(".")
        if not (said.isascii() and said.isdigit() and signature.isascii()) or len(said) > _DIGITS:
            return False
        is_ours = any(hmac.compare_digest(signature, _signed(digest, said)) for digest in self._digests)
        return is_ours and now < int(said)


_DIGITS = 15


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _signed(digest: bytes, text: str) -> str:
    return hmac.new(digest, text.encode(), "sha256").hexdigest()
