"""What an object may look like: structural schemas, their defaults and rules, for built-in and custom resources."""
