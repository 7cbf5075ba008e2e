"""The custom resources: models, defaults, validation, and the CRDs generated from them. PURE."""
