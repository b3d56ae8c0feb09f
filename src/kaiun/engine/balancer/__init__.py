"""The data plane of the load balancers: HAProxy, or nothing at all (null)."""
