"""An error as an AWS service tells it."""

from __future__ import annotations


class ApiError(Exception):
    """`code` is the error code of the service model, `status` the HTTP status (4xx).

    `fields` are further members of the modelled exception.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, **fields: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


def client_error(message: str) -> ApiError:
    """Return ECS's ClientException."""
    return ApiError("ClientException", message)


def invalid_parameter(message: str) -> ApiError:
    """Return ECS's (and CloudWatch Logs') InvalidParameterException."""
    return ApiError("InvalidParameterException", message)


def cluster_not_found() -> ApiError:
    return ApiError("ClusterNotFoundException", "Cluster not found.")
