"""A trained network of pytorch-3dunet built again from its settings and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from plantseg_app.core.step import readable_errors
from plantseg_app.errors import InputError, RequestError
from plantseg_app.networks.boundary.family import BoundaryFamily
from plantseg_app.networks.unet import UNet
from plantseg_app.networks.weights import check_fit, put_weights


def rebuild(
    settings: Mapping[str, Any], weights: Mapping[str, Tensor], where: str, source: str
) -> tuple[BoundaryFamily, UNet]:
    """Return the family and the network with its weights.

    Parameters
    ----------
    settings
        Of the boundary family, with or without its kind.
    weights
        Tensors by parameter name.
    where, source
        What to call the settings and the weights in an error message.

    Raises
    ------
    InputError
        If the settings describe no network, or the weights do not fit.
    """
    plain = {key: value for key, value in settings.items() if key != "kind"}
    try:
        family = BoundaryFamily(**plain)
        # Before it is built, so that no file can ask for a network larger than its weights.
        check_fit(family.outline, weights, source)
        network = family.build()
    except ValidationError as error:
        raise InputError(readable_errors(error, where, list(BoundaryFamily.model_fields))) from error
    except RequestError as error:
        raise InputError(f"{where}: {error}") from error
    put_weights(network, weights, source)
    return family, network
