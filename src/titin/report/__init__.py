"""The self-contained HTML report of a dataset."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.report.write import ReportResult, write_report

__all__ = ["ReportResult", "write_report"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.report.write": ("ReportResult", "write_report"),
    },
)
