"""What the Helm chart takes from the code: values, schema, resources, rules; checked by `make lint`."""
