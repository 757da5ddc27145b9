"""Every validation of a dataset as a small named check."""

from titin.check._validate import load_checks, validate
from titin.check.registry import CHECKS, Check, Finding, Outcome
from titin.check.report import Report, Result

__all__ = ["CHECKS", "Check", "Finding", "Outcome", "Report", "Result", "load_checks", "validate"]
