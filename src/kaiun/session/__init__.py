"""Interactive sessions in containers: the data channel that Session Manager's clients speak.

ECS's ExecuteCommand answers with the address of a WebSocket and a token. What is said there stands
in AWS's own two ends, which are public: session-manager-plugin and amazon-ssm-agent. Both ends of
kaiun, `kaiun exec` and the local ECS, are made of `frames`, `messages` and `channel`.
"""
