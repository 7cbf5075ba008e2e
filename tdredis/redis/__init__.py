"""What Redis says and means, as data: slots, replies parsed to facts, configuration text. PURE."""
