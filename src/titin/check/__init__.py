"""Every validation of a dataset as a small named check."""

from titin.check.findings import Finding, Outcome
from titin.check.registry import CHECKS, Check
from titin.check.report import Result, ValidationReport
from titin.check.run import load_checks, validate

__all__ = ["CHECKS", "Check", "Finding", "Outcome", "Result", "ValidationReport", "load_checks", "validate"]
