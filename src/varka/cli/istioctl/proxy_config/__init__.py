"""`istioctl proxy-config`: what an Envoy's config dump says, as tables for people and as JSON or YAML for programs."""
