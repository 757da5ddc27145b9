"""The explorer: a page that reads a dataset's own files, served from here or put on a static host."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.explore.notebook import ExplorerFrame, show
    from titin.explore.server import ExplorerServer
    from titin.explore.site import write_page, write_site

__all__ = ["ExplorerFrame", "ExplorerServer", "show", "write_page", "write_site"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.explore.notebook": ("ExplorerFrame", "show"),
        "titin.explore.server": ("ExplorerServer",),
        "titin.explore.site": ("write_page", "write_site"),
    },
)
