"""Why figures are behind, where they are: what profiles said, by figure."""

REASONS: dict[str, str] = {}
