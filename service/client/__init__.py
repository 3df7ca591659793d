"""The Python client over REST and gRPC, waiting or with asyncio. Installed alone, it is `blitzmask_client`.

    from service.client import Options, RpcClient, decode_masks

    with RpcClient("localhost:8001") as client:
        found = client.segment("photo.jpg", Options(score_threshold=0.5))
    masks = decode_masks(found)  # bool [N, H, W]

`found.masks` computes one mask at a time; `found.to_coco()`, `found.to_polygons()` and
`found.to_supervision()` give the forms of other libraries; a notebook shows the picture with the instances.
`client.segment_many(paths)` asks for several images at a time and answers in their order.

An image is encoded bytes, a path, or pixels as uint8 [H, W, 3] RGB. For a server that uses TLS and keys:

    RpcClient("grpcs://host:8001", credentials=Credentials(key="bm_...", ca=Path("ca.pem")))

`RpcClient` and `AsyncRpcClient` also stream. `RestClient` and `AsyncRestClient` need httpx. All of them raise
the same errors for the same mistakes: RequestError if the caller can correct the request, Unavailable if a
later try may succeed. Importing the package changes nothing in the process.

It imports only the service's types, masks and messages. Change it without looking at the rest of the service.
"""

from service.client.answers import ModelInfo, ModelList, decode_masks, draw_overlay
from service.client.asking import Frame, Image, pixels_to_png
from service.client.credentials import Credentials
from service.client.many import Answers, AsyncAnswers, Outcome
from service.client.rest_client import AsyncRestClient, RestClient
from service.client.rpc_client import AsyncRpcClient, RpcClient
from service.errors import (
    BlitzError,
    DeadlineExceeded,
    Forbidden,
    ImageTooLarge,
    InvalidImage,
    InvalidOption,
    ModelNotFound,
    NotReady,
    OutOfMemory,
    Overloaded,
    RateLimited,
    RequestError,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
)
from service.events.report import Event, LineCount, Report, ZoneCount
from service.events.scene import Area, Limits, Line, Scene, Zone
from service.frames import FrameResult, RawImage, StreamOptions
from service.inference.masks.rle import decode_rle
from service.types import Instance, Options, Polygon, Rle, RleCrop, Segmentation, Size

__all__ = [
    "Answers",
    "Area",
    "AsyncAnswers",
    "AsyncRestClient",
    "AsyncRpcClient",
    "BlitzError",
    "Credentials",
    "DeadlineExceeded",
    "Event",
    "Forbidden",
    "Frame",
    "FrameResult",
    "Image",
    "ImageTooLarge",
    "Instance",
    "InvalidImage",
    "InvalidOption",
    "Limits",
    "Line",
    "LineCount",
    "ModelInfo",
    "ModelList",
    "ModelNotFound",
    "NotReady",
    "Options",
    "OutOfMemory",
    "Outcome",
    "Overloaded",
    "Polygon",
    "RateLimited",
    "RawImage",
    "Report",
    "RequestError",
    "RestClient",
    "Rle",
    "RleCrop",
    "RpcClient",
    "Scene",
    "Segmentation",
    "Size",
    "StreamOptions",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMedia",
    "Zone",
    "ZoneCount",
    "decode_masks",
    "decode_rle",
    "draw_overlay",
    "pixels_to_png",
]
