"""Model cards of older versions, rewritten in the newest one."""

import json
import os
from pathlib import Path

from service.errors import InvalidCard
from service.inference.card import Card, read_card, read_json

NEWEST = 2


def upgrade_card(folder: Path) -> bool:
    """Rewrites the card of a model folder; False where it has the newest version already.

    The content stays the same; the decoder names its family, which version 1 may leave out. The new file
    takes the place of the old one at once, so a service that reads it meanwhile sees one of the two.
    Raises InvalidCard where the card cannot be read, contradicts itself, or cannot be written.
    """
    if read_card(folder).schema_version == NEWEST:
        return False
    path = folder / "card.json"
    content = json.loads(read_json(path))
    content["schema_version"] = NEWEST
    content["decoder"] = {"family": "centers", **content["decoder"]}
    Card.model_validate(content)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InvalidCard(f"cannot write {path}: {error.strerror}") from error
    return True
