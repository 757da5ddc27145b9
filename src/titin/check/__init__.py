"""Every validation of a dataset as a small named check."""

from titin.check.findings import Finding, Outcome
from titin.check.registry import CHECKS, Check
from titin.check.report import Report, Result
from titin.check.run import load_checks, validate

__all__ = ["CHECKS", "Check", "Finding", "Outcome", "Report", "Result", "load_checks", "validate"]
