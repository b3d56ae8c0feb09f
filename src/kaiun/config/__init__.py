"""kaiun.yml: schema, loading with places, environments, interpolation."""
