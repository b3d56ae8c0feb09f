"""EventBridge's rules with an event pattern: ECS's own events, and what rules do with events.

The side services keep buses and rules. The engine knows them too: it makes ECS's events where a
rule asks for them, and delivers what it alone can, from an outbox in its store.
"""
