"""``python -m titin``."""

from titin.cli import main

main()
