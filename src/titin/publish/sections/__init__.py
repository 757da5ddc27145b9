"""The sections of a card, each a function of the facts."""
