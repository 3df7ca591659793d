"""Commands as one would type them: what a card says of how its figures came about."""

import shlex
from collections.abc import Iterable, Mapping


def spell_command(
    name: str, arguments: Iterable[object], *, options: Mapping[str, object], launcher: str = "python"
) -> str:
    """The command with its words quoted for a shell.

    options: values by option, a list where it is given several times; None or empty where it is not given.

    >>> spell_command("evaluate", ["my model"], options={"--split": "val", "--out": None, "--set": ["a=1"]})
    "python -m training evaluate 'my model' --split val --set a=1"
    """
    words = [*launcher.split(), "-m", "training", name, *map(str, arguments)]
    for option, value in options.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            words += [] if each in (None, "") else [option, str(each)]
    return shlex.join(words)
