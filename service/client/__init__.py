"""The service from Python: the same objects as inside it, over REST or gRPC, waiting or with asyncio.

    from pathlib import Path

    from service.client import Options, RpcClient, decode_masks

    with RpcClient("localhost:8001") as client:
        found = client.segment(Path("photo.jpg").read_bytes(), Options(score_threshold=0.5))
    masks = decode_masks(found)  # bool [N, H, W]

Where the server asks for a key or speaks TLS:

    RpcClient("grpcs://host:8001", credentials=Credentials(key="bm_...", ca=Path("ca.pem")))

`RpcClient` and `AsyncRpcClient` also stream; `RestClient` and `AsyncRestClient` need the extra `client`.
Every method raises the leaves of `service.errors`: RequestError where the caller can mend it, Unavailable
where trying again later may help.
"""

from service.client.credentials import Credentials
from service.client.models import ModelInfo, ModelList
from service.client.pictures import decode_masks, pixels_to_png
from service.client.rest import AsyncRestClient, RestClient
from service.client.rpc import AsyncRpcClient, RpcClient
from service.errors import BlitzError, RequestError, Unavailable
from service.inference.masks.overlay import draw_overlay
from service.inference.masks.rle import decode_rle
from service.serving.streaming import Frame, FrameResult, RawImage, StreamOptions
from service.types import Instance, Options, Segmentation, Size

__all__ = [
    "AsyncRestClient",
    "AsyncRpcClient",
    "BlitzError",
    "Credentials",
    "Frame",
    "FrameResult",
    "Instance",
    "ModelInfo",
    "ModelList",
    "Options",
    "RawImage",
    "RequestError",
    "RestClient",
    "RpcClient",
    "Segmentation",
    "Size",
    "StreamOptions",
    "Unavailable",
    "decode_masks",
    "decode_rle",
    "draw_overlay",
    "pixels_to_png",
]
