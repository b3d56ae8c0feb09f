"""Values of AWS for the interpolation of kaiun.yml: SSM parameters, secrets, stack outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from kaiun.aws.caller import Answer, Caller, batches, each
from kaiun.errors import AwsError

PARAMETERS_A_CALL = 10
NO_SECRET = "ResourceNotFoundException"  # noqa: S105
NO_STACK = "ValidationError"


class Resolver:
    """`resolver("ssm" | "secret" | "cfn", names)` → values; what does not exist is left out.

    Raises AwsError when AWS cannot be asked. `hidden` are the secrets read so far: secrets,
    and parameters of the type SecureString. They must not be shown.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.hidden: set[str] = set()

    def __call__(self, kind: str, names: Sequence[str]) -> Mapping[str, str]:
        readers = {"ssm": self.parameters, "secret": self.secrets, "cfn": self.outputs}
        return readers[kind](sorted(set(names)))

    def parameters(self, names: Sequence[str]) -> dict[str, str]:
        """Return SSM parameters, decrypted (GetParameters, 10 a call)."""

        def read(some: Sequence[str]) -> Answer:
            params = {"Names": list(some), "WithDecryption": True}
            return self._caller.call("ssm", "get_parameters", params, where=", ".join(some))

        answers = each(read, batches(names, PARAMETERS_A_CALL))
        found = [one for item in answers for one in cast("list[Answer]", item["Parameters"])]
        self.hidden |= {str(i["Value"]) for i in found if i.get("Type") == "SecureString"}
        return {str(item["Name"]): str(item["Value"]) for item in found}

    def secrets(self, names: Sequence[str]) -> dict[str, str]:
        """Return secret strings of Secrets Manager (GetSecretValue)."""
        values = each(self._secret, names)
        self.hidden |= {value for value in values if value}
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def _secret(self, name: str) -> str | None:
        params = {"SecretId": name}
        try:
            answer = self._caller.call("secretsmanager", "get_secret_value", params, where=name)
        except AwsError as error:
            if error.code == NO_SECRET:
                return None
            raise
        text = answer.get("SecretString")
        return None if text is None else str(text)

    def outputs(self, names: Sequence[str]) -> dict[str, str]:
        """Return outputs of CloudFormation stacks by "STACK.OUTPUT" (DescribeStacks)."""
        stacks = sorted({name.partition(".")[0] for name in names})
        found = each(self._stack, stacks)
        values = {key: value for outputs in found for key, value in outputs.items()}
        return {name: values[name] for name in names if name in values}

    def _stack(self, stack: str) -> dict[str, str]:
        params = {"StackName": stack}
        try:
            answer = self._caller.call("cloudformation", "describe_stacks", params, where=stack)
        except AwsError as error:
            if error.code == NO_STACK:
                return {}
            raise
        outputs = cast("list[dict[str, list[dict[str, str]]]]", answer["Stacks"])[0]
        return {
            f"{stack}.{item['OutputKey']}": item["OutputValue"]
            for item in outputs.get("Outputs", [])
        }
