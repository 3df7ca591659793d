"""A check of our own for schemathesis, which loads this module."""

from typing import Any

import schemathesis
from schemathesis.core.transport import Response

from tests.fuzz.verdicts import check_status


@schemathesis.check
def no_fault(_: schemathesis.CheckContext, response: Response, case: schemathesis.Case[Any]) -> None:
    """The verdict on a status that all other requests get too."""
    hurried = any(name.lower() == "x-request-timeout" for name in case.headers)
    check_status(response.status_code, hurried=hurried)
