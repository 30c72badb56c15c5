"""What the Helm chart takes from the code: values, their schema, resources, rules."""
