# Generated from src/corvo_client/_async/audit.py by scripts/gen_sync.py. Do not edit.
"""Client method for the audit log."""

from corvo_client._calls import audit as calls
from corvo_client._options import AnyMoment
from corvo_client._sync.base import Base
from corvo_schema import AuditOperation, AuditPage


class Audit(Base):
    """Read who changed or configured what."""

    def list_audit(
        self,
        *,
        by: str | None = None,
        queue: str | None = None,
        operation: AuditOperation | str | None = None,
        target: str | None = None,
        since: AnyMoment | None = None,
        until: AnyMoment | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> AuditPage:
        """Return one page of the entries that match all filters, newest first.

        `by` is the name of an API key. `target` is the id of a job, a bulk operation or a key, or
        the name of a queue or a schedule. `since` and `until` are a datetime with a zone, RFC 3339
        text, or a duration before now like `1d`. `limit` is 1 to 1000. Pass the `cursor` of the
        reply to get the next page. Needs a key with the role admin or operator. Raises
        `ValidationFailed`.
        """
        return self._send(
            calls.list_audit(
                by=by,
                queue=queue,
                operation=operation,
                target=target,
                since=since,
                until=until,
                limit=limit,
                cursor=cursor,
            )
        )
