"""Policy: what each verb means, over any store."""
