"""The dataset card, Croissant, licence, and the way to the Hub."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.publish.card import Written, make_card, refresh_card, refresh_documents, write_card
    from titin.publish.licence import check_licence
    from titin.publish.upload import Publication, PublicationRefusedError, publish, write_public_copy

__all__ = [
    "Publication",
    "PublicationRefusedError",
    "Written",
    "check_licence",
    "make_card",
    "publish",
    "refresh_card",
    "refresh_documents",
    "write_card",
    "write_public_copy",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.publish.card": ("Written", "make_card", "refresh_card", "refresh_documents", "write_card"),
        "titin.publish.licence": ("check_licence",),
        "titin.publish.upload": ("Publication", "PublicationRefusedError", "publish", "write_public_copy"),
    },
)
