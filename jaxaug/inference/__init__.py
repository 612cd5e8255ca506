"""What a run is for once it has trained: evaluate it elsewhere, let it name images, take it along.

`load(folder)` gives a `TrainedRun`; `run.predict(images)` what its network says. All of it is imported when it is asked
for.
"""

from typing import TYPE_CHECKING

from jaxaug.core.lazy import lazy_names

if TYPE_CHECKING:
    from jaxaug.inference.calibration import calibrate, fit_temperature
    from jaxaug.inference.evaluation import evaluate, evaluate_run
    from jaxaug.inference.export import export_function, export_weights
    from jaxaug.inference.label_map_pictures import predict_label_maps
    from jaxaug.inference.predictions import predict_files
    from jaxaug.inference.trained_run import Predictions, TrainedRun, load

_LAZY = {
    "Predictions": "trained_run",
    "TrainedRun": "trained_run",
    "calibrate": "calibration",
    "evaluate": "evaluation",
    "evaluate_run": "evaluation",
    "export_function": "export",
    "export_weights": "export",
    "fit_temperature": "calibration",
    "load": "trained_run",
    "predict_files": "predictions",
    "predict_label_maps": "label_map_pictures",
}

__all__ = [
    "Predictions",
    "TrainedRun",
    "calibrate",
    "evaluate",
    "evaluate_run",
    "export_function",
    "export_weights",
    "fit_temperature",
    "load",
    "predict_files",
    "predict_label_maps",
]

__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> list[str]:
    return __all__
