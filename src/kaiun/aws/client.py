"""The typed door to AWS: one object with a part for each service."""

from __future__ import annotations

from collections import Counter

from kaiun.aws.caller import Caller, parallel
from kaiun.aws.ecr import Ecr
from kaiun.aws.ecs import Ecs
from kaiun.aws.elb import Elb
from kaiun.aws.kms import Kms
from kaiun.aws.logs import Logs
from kaiun.aws.resolver import Resolver
from kaiun.aws.s3 import S3
from kaiun.aws.upload import Uploader

__all__ = ["Aws", "parallel"]


class Aws:
    """AWS for one environment: `aws.ecs.describe_services(...)`. Safe to share by threads."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.ecs = Ecs(caller)
        self.elb = Elb(caller)
        self.logs = Logs(caller)
        self.s3 = S3(caller)
        self.ecr = Ecr(caller)
        self.kms = Kms(caller)
        self.resolver = Resolver(caller)

    @property
    def calls(self) -> Counter[str]:
        """Requests sent so far, retries included, by "ecs:DescribeServices"."""
        return self._caller.calls

    @property
    def is_local(self) -> bool:
        return self._caller.endpoint.is_local

    @property
    def endpoint(self) -> str | None:
        """Return the URL of the local ECS; None on AWS."""
        return self._caller.endpoint.url

    @property
    def fluentd_address(self) -> str | None:
        """Return where the local ECS receives logs; None on AWS."""
        return self._caller.endpoint.fluentd

    @property
    def region(self) -> str | None:
        """Return the region of this connection: kaiun.yml's, else the one botocore finds."""
        return self._caller.region

    def uploader(self, bucket: str) -> Uploader:
        """Return what uploads many files to a bucket."""
        return Uploader(self._caller, self.s3, bucket)

    def account(self) -> str:
        """Return the account's number (STS GetCallerIdentity)."""
        return str(self._caller.call("sts", "get_caller_identity", {})["Account"])

    def vpc_of(self, subnet: str) -> str:
        """Return the id of the VPC that a subnet is in (EC2 DescribeSubnets)."""
        answer = self._caller.call("ec2", "describe_subnets", {"SubnetIds": [subnet]}, where=subnet)
        subnets = answer["Subnets"]
        assert isinstance(subnets, list)  # noqa: S101
        return str(subnets[0]["VpcId"])
