"""The machine-learning benchmark: tasks, splits that hold donors out, features, models, scores, a leaderboard."""

from typing import TYPE_CHECKING

from titin.lazy import lazy_names

if TYPE_CHECKING:
    from titin.learn.clock import Clock
    from titin.learn.clock_ages import ClockAges
    from titin.learn.folds import Split, freeze, make_splits, read_splits
    from titin.learn.models import Model, TrainingContext, all_models, find_models
    from titin.learn.run import Benchmark, run_benchmark
    from titin.learn.tasks import TASKS, Eligibility, Rules, Task, check_task, find_tasks
    from titin.learn.units import BenchmarkUnits, make_units
    from titin.learn.xy import Xy, make_Xy
    from titin.study.design import atlas_design, design_table

__all__ = [
    "TASKS",
    "Benchmark",
    "BenchmarkUnits",
    "Clock",
    "ClockAges",
    "Eligibility",
    "Model",
    "Rules",
    "Split",
    "Task",
    "TrainingContext",
    "Xy",
    "all_models",
    "atlas_design",
    "check_task",
    "design_table",
    "find_models",
    "find_tasks",
    "freeze",
    "make_Xy",
    "make_splits",
    "make_units",
    "read_splits",
    "run_benchmark",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "titin.learn.clock": ("Clock",),
        "titin.learn.clock_ages": ("ClockAges",),
        "titin.learn.folds": ("Split", "freeze", "make_splits", "read_splits"),
        "titin.learn.models": ("Model", "TrainingContext", "all_models", "find_models"),
        "titin.learn.run": ("Benchmark", "run_benchmark"),
        "titin.learn.tasks": ("TASKS", "Eligibility", "Rules", "Task", "check_task", "find_tasks"),
        "titin.learn.units": ("BenchmarkUnits", "make_units"),
        "titin.learn.xy": ("Xy", "make_Xy"),
        "titin.study.design": ("atlas_design", "design_table"),
    },
)
