"""What CreateService and UpdateService accept, and what ECS fills in."""

from __future__ import annotations

from kaiun.engine.dispatch import Params
from kaiun.engine.operations.providers import check_strategy, is_fargate
from kaiun.engine.protocol.errors import ApiError, invalid_parameter
from kaiun.engine.store import Doc
from kaiun.engine.world import World


def check(world: World, params: Params) -> None:
    """Raise what ECS answers to members that cannot be."""
    if (params.get("desiredCount") or 0) < 0:
        raise invalid_parameter("desiredCount cannot be negative.")
    if (params.get("desiredCount") or 0) > 5000:
        raise invalid_parameter("desiredCount cannot be more than 5000.")
    controller = params.get("deploymentController", {}).get("type", "ECS")
    if controller not in ("ECS", "EXTERNAL"):
        raise ApiError(
            "UnsupportedFeatureException",
            f"Deployment controller {controller} is not supported by this local ECS.",
        )
    _check_configuration(params.get("deploymentConfiguration", {}))
    if params.get("schedulingStrategy") == "DAEMON":
        check_daemon(params)
    check_balancers(world, params)


def check_daemon(params: Params) -> None:
    """Raise for what a DAEMON service, new or old, cannot have."""
    if on_fargate(params) or params.get("placementStrategy"):
        raise invalid_parameter(
            "The DAEMON scheduling strategy supports neither Fargate nor a placement strategy."
        )
    if params.get("desiredCount") is not None:
        raise invalid_parameter(
            "The daemon scheduling strategy does not support a desired count for services. "
            "Remove the desired count value and try again"
        )
    if params.get("deploymentConfiguration", {}).get("maximumPercent", 100) > 100:
        raise invalid_parameter(
            "The daemon scheduling strategy does not support values above 100 for maximumPercent "
            "on a deployment configuration. Change the maximumPercent value to 100, and try again"
        )


def check_balancers(world: World, params: Params) -> None:
    """Raise for load balancers that tasks cannot be registered with."""
    for balancer in params.get("loadBalancers", ()):
        _check_balancer(world, balancer)


def check_controller(service: Doc, params: Params) -> None:
    """Raise where UpdateService asks for another deployment controller."""
    own = service["deploymentController"]["type"]
    asked = params.get("deploymentController", {}).get("type", own)
    if asked != own:
        raise invalid_parameter(
            f"The deployment controller of a service cannot be changed to {asked}."
        )


def _check_configuration(configuration: Doc) -> None:
    low = configuration.get("minimumHealthyPercent", 0)
    high = configuration.get("maximumPercent", 200)
    if low < 0 or high < 0:
        raise invalid_parameter("minimumHealthyPercent and maximumPercent cannot be negative.")
    if high == 0 or (high < 100 and low >= 100):
        raise invalid_parameter(
            "maximumPercent must be greater than minimumHealthyPercent and at least 100."
        )
    if low >= 100 and high <= 100:
        raise invalid_parameter(
            "Either minimumHealthyPercent must be below 100 or maximumPercent above 100."
        )


def _check_balancer(world: World, balancer: Doc) -> None:
    arn = balancer.get("targetGroupArn")
    if arn is None:
        raise invalid_parameter("Classic load balancers are not supported: give a targetGroupArn.")
    if "containerName" not in balancer or "containerPort" not in balancer:
        raise invalid_parameter("containerName and containerPort are required in a load balancer.")
    _check_advanced(world, balancer.get("advancedConfiguration", {}))
    group = world.target_groups.get(arn)
    if group is not None and not group["LoadBalancerArns"]:
        raise invalid_parameter(
            f"The target group with targetGroupArn {arn} does not have an associated load balancer."
        )
    if group is None:
        raise invalid_parameter(
            f"Unable to assume role and validate the specified targetGroupArn {arn}."
        )


def _check_advanced(world: World, advanced: Doc) -> None:
    group = advanced.get("alternateTargetGroupArn")
    if group is not None and group not in world.target_groups:
        raise invalid_parameter(
            f"Unable to assume role and validate the specified targetGroupArn {group}."
        )
    for name in ("productionListenerRule", "testListenerRule"):
        rule = advanced.get(name)
        if rule is not None and rule not in world.rules:
            raise invalid_parameter(f"The {name} {rule} does not exist.")


def with_default_capacity(world: World, cluster: str, params: Params) -> Params:
    """Return a request with the cluster's default strategy where it names no capacity itself."""
    default = world.clusters[cluster]["defaultCapacityProviderStrategy"]
    if not default or params.get("launchType") or params.get("capacityProviderStrategy"):
        return params
    return {**params, "capacityProviderStrategy": default}


def check_capacity(world: World, cluster: str, params: Params) -> None:
    """Raise where launch type and capacity provider strategy cannot be."""
    strategy = params.get("capacityProviderStrategy", ())
    if params.get("launchType") and strategy:
        raise invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. "
            "Remove one and try again."
        )
    check_strategy(world, strategy, world.clusters[cluster]["capacityProviders"])


def on_fargate(params: Params) -> bool:
    """Return whether the tasks of a request run on Fargate."""
    strategy = params.get("capacityProviderStrategy")
    if strategy:
        return is_fargate(strategy[0]["capacityProvider"])
    return bool(params.get("launchType") == "FARGATE")


def check_network(definition: Doc, params: Params) -> None:
    """Raise where task definition, network configuration, launch type and ports do not fit."""
    awsvpc = definition.get("networkMode") == "awsvpc"
    network = params.get("networkConfiguration", {}).get("awsvpcConfiguration")
    if awsvpc and not network:
        raise invalid_parameter(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if network is not None and not network["subnets"]:
        raise invalid_parameter("subnets can not be empty.")
    if not awsvpc and network:
        raise invalid_parameter(
            "Network Configuration is not valid for the given networkMode of this task definition."
        )
    if on_fargate(params) and not awsvpc:
        raise invalid_parameter("Task definition does not support launch_type FARGATE.")
    for balancer in params.get("loadBalancers", ()):
        _check_port(definition, balancer)
    connect = params.get("serviceConnectConfiguration", {})
    for service in connect.get("services", ()) if connect.get("enabled") else ():
        _check_port_name(definition, service["portName"])


def _check_port_name(definition: Doc, name: str) -> None:
    mappings = (m for c in definition["containerDefinitions"] for m in c["portMappings"])
    if all(mapping.get("name") != name for mapping in mappings):
        raise invalid_parameter(
            f"portName({name}) does not refer to any named PortMapping in the task definition."
        )


def _check_port(definition: Doc, balancer: Doc) -> None:
    name, port = balancer["containerName"], balancer["containerPort"]
    container = next((c for c in definition["containerDefinitions"] if c["name"] == name), None)
    if container is None:
        raise invalid_parameter(f"The container {name} does not exist in the task definition.")
    if all(m.get("containerPort") != port for m in container["portMappings"]):
        raise invalid_parameter(
            f"The container {name} did not have a container port {port} defined."
        )


def has_health_check(definition: Doc) -> bool:
    """Return whether an essential container has an ECS healthCheck."""
    return any(c["essential"] and "healthCheck" in c for c in definition["containerDefinitions"])


def launch_members(params: Params) -> Doc:
    """Return launchType, or capacityProviderStrategy, and the platform of Fargate."""
    strategy = params.get("capacityProviderStrategy")
    if strategy:
        platform = {"platformVersion": params.get("platformVersion", "LATEST")}
        return {
            "capacityProviderStrategy": strategy,
            **({**platform, "platformFamily": "Linux"} if on_fargate(params) else {}),
        }
    kind = params.get("launchType", "EC2")
    if kind != "FARGATE":
        return {"launchType": kind}
    return {
        "launchType": kind,
        "platformVersion": params.get("platformVersion", "LATEST"),
        "platformFamily": "Linux",
    }


def rebalancing(params: Params) -> str:
    """Return the default of availabilityZoneRebalancing: on for whatever may have it."""
    replica = params.get("schedulingStrategy", "REPLICA") == "REPLICA"
    room = params.get("deploymentConfiguration", {}).get("maximumPercent", 200) > 100
    own = params.get("deploymentController", {}).get("type", "ECS") == "ECS"
    return "ENABLED" if replica and room and own else "DISABLED"


def aliases(params: Params) -> list[str]:
    """Return the names that other tasks find this service by: those of Service Connect."""
    connect = params.get("serviceConnectConfiguration", {})
    if not connect.get("enabled"):
        return []
    names = []
    for service in connect.get("services", ()):
        own = [a["dnsName"] for a in service.get("clientAliases", ()) if a.get("dnsName")]
        names += own or [service.get("discoveryName") or service["portName"]]
    return list(dict.fromkeys(names))
