"""The self-contained HTML report of a dataset."""

from titin.report.write import ReportResult, write_report

__all__ = ["ReportResult", "write_report"]
