"""Cloud Map (AWS's servicediscovery): namespaces, service registries, and who is registered."""
