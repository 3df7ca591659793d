"""The networks by the name that recipes and checkpoints give them.

All of them take uint8 [N, H, W, 3] and return their heads by name; all have `architecture` and `backbone`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from training.networks.blitzmask import Architecture, BlitzMask
from training.networks.csr import Csr, CsrArchitecture
from training.networks.yolact import Yolact, YolactArchitecture

NetworkName: TypeAlias = Literal["blitzmask", "yolact", "yolact_c5", "mobile_yolact", "csr"]
AnyArchitecture: TypeAlias = Architecture | YolactArchitecture | CsrArchitecture
Network: TypeAlias = BlitzMask | Yolact | Csr

_NETWORKS: Mapping[str, Callable[[Any], Network]] = MappingProxyType(
    {"blitzmask": BlitzMask, "yolact": Yolact, "csr": Csr}
)
_ARCHITECTURES: Mapping[str, Callable[..., AnyArchitecture]] = MappingProxyType(
    {"blitzmask": Architecture, "yolact": YolactArchitecture, "csr": CsrArchitecture}
)


def name_architecture(
    network: NetworkName, classes: int, *, backbone: str, width: float, channels: int, masks: bool = True
) -> AnyArchitecture:
    """The architecture of a network by name; channels: of its neck.

    `yolact_c5` is YOLACT with P6 from C5. Raises ValueError if the network has no such backbone, or no form
    without masks.
    """
    if network == "blitzmask":
        return Architecture(classes, backbone=backbone, width=width, neck_channels=channels, masks=masks)
    if not masks:
        raise ValueError(f"{network} has no form without masks: use masks=True, or network=blitzmask")
    if network == "csr":
        return CsrArchitecture(classes, backbone=backbone, width=width, channels=channels)
    return YolactArchitecture(
        classes,
        backbone=backbone,
        width=width,
        neck_channels=channels,
        p6_from="C5" if network == "yolact_c5" else "P5",
        separable=network == "mobile_yolact",
    )


def build_network(architecture: AnyArchitecture) -> Network:
    """The network of an architecture, with random weights."""
    return _NETWORKS[architecture.network](architecture)


def read_architecture(options: Mapping[str, Any]) -> AnyArchitecture:
    """The architecture of a checkpoint; that of a BlitzMask does not name its network.

    Raises ValueError if the checkpoint is of a network that is not known here.
    """
    name = options.get("network", "blitzmask")
    if name not in _ARCHITECTURES:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(_ARCHITECTURES)}")
    return _ARCHITECTURES[name](**options)
