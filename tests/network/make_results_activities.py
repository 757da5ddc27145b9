"""Write results_activities.json: activities by decoupler of a small case, which the tests draw again.

pip install decoupler && python make_results_activities.py
"""

import json
from pathlib import Path

import decoupler
import numpy as np
import pandas as pd
from activity_case import draw_case

values, edges = draw_case()
found = {"decoupler": decoupler.__version__, "numpy": np.__version__}
scores = {}
for name, method, options in (
    ("ulm", decoupler.mt.ulm, {}), ("weighted_sum", decoupler.mt.waggr, {"fun": "wsum", "times": 1}),
):  # fmt: skip
    score, _ = method(values, edges, tmin=5, **options)
    scores[f"score_{name.replace('_', '')}"] = score
    found[name] = {"regulators": list(score.columns), "scores": score.to_numpy(float).tolist()}
both, _ = decoupler.mt.consensus({k: v.astype(float) for k, v in scores.items()})
found["consensus"] = {"regulators": list(both.columns), "scores": pd.DataFrame(both).to_numpy(float).tolist()}
Path(__file__).with_name("results_activities.json").write_text(json.dumps(found, indent=1) + "\n")
