"""The steps of a plan that one call (or two) of AWS settles: provisioning and registering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from kaiun.plan.steps import (
    CreateBucket,
    CreateCluster,
    CreateListener,
    CreateLoadBalancer,
    CreateLogGroup,
    CreateTargetGroup,
    Ref,
    RegisterTaskDefinition,
    UpdateTargetGroup,
)

if TYPE_CHECKING:
    from kaiun.aws.client import Aws
    from kaiun.plan.live import Live
    from kaiun.plan.steps import Step

Request = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Made:
    """What was done, in words; what it made, as later steps refer to it."""

    what: str
    ref: Ref | None = None
    arn: str = ""
    definition: Request | None = None


def perform(aws: Aws, step: Step, request: Request) -> Made:
    """Do a step with its request, every `Ref` filled in. Raises AwsError."""
    match step:
        case RegisterTaskDefinition():
            arn = aws.ecs.register_task_definition(request)["taskDefinitionArn"]
            what = f"registered task definition {arn.rpartition('/')[2]}"
            made = Made(what, step.makes, arn, request)
        case CreateCluster():
            aws.ecs.create_cluster(request)
            made = Made(f"created cluster {step.name}")
        case CreateLogGroup():
            aws.logs.create_group(step.name)
            made = Made(f"created log group {step.name}")
        case CreateTargetGroup():
            group = aws.elb.create_target_group(request, step.attributes)
            made = Made(f"created target group {step.name}", step.makes, group["TargetGroupArn"])
        case CreateLoadBalancer():
            arn = aws.elb.create_load_balancer(request)["LoadBalancerArn"]
            made = Made(f"created load balancer {step.name}", step.makes, arn)
        case CreateListener():
            aws.elb.create_listener(request)
            made = Made(f"created listener {step.name}")
        case CreateBucket():
            _create_bucket(aws, step.name)
            made = Made(f"created bucket {step.name}")
        case UpdateTargetGroup():
            if set(request) - {"TargetGroupArn"}:
                aws.elb.modify_target_group(request)
            aws.elb.modify_target_group_attributes(step.arn, step.attributes)
            made = Made(f"updated target group {step.name}")
        case _:
            raise TypeError(step)
    return made


def _create_bucket(aws: Aws, bucket: str) -> None:
    """Create a bucket whose objects every page may load; of modules and fonts, read."""
    aws.s3.create_bucket(bucket)
    aws.s3.set_policy(bucket, public_read(bucket))
    rule = {"AllowedMethods": ["GET", "HEAD"], "AllowedOrigins": ["*"], "MaxAgeSeconds": 86_400}
    aws.s3.set_cors(bucket, [rule])


def public_read(bucket: str) -> Request:
    """Return the policy of a bucket whose objects anybody may read, and nobody list."""
    statement = {
        "Sid": "AssetsAreForEverybody",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def regroup_back(aws: Aws, step: UpdateTargetGroup, live: Live) -> None:
    """Set a target group's settings back to what they were in `live`. Raises AwsError."""
    was = cast("Request", live.target_groups.get(step.name, {}))
    request = {key: was[key] for key in step.request if key in was}
    if set(request) - {"TargetGroupArn"}:
        aws.elb.modify_target_group({**request, "TargetGroupArn": step.arn})
    attributes = live.target_group_attributes.get(step.name, {})
    kept = {key: attributes[key] for key in step.attributes if key in attributes}
    aws.elb.modify_target_group_attributes(step.arn, kept)
