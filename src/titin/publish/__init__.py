"""The dataset card, Croissant, licence, and the way to the Hub."""

from titin.publish.card import Written, card, refresh_card, write_card
from titin.publish.licence import check_licence
from titin.publish.upload import Publication, PublicationRefusedError, publish

__all__ = [
    "Publication",
    "PublicationRefusedError",
    "Written",
    "card",
    "check_licence",
    "publish",
    "refresh_card",
    "write_card",
]
