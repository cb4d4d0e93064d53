"""Verbs on the sources of webhooks: senders whose signed requests become jobs."""

from collections.abc import Callable, Mapping
from functools import partial

import orjson

from corvo_schema import EnqueueRequest, derive_job_id
from corvo_schema.audit import AuditOperation
from corvo_schema.errors import ErrorCode
from corvo_schema.fields import MAX_TAG_VALUE
from corvo_schema.webhooks import RotateSecretRequest, SignatureForm, WebhookSourceRequest
from corvo_server.auth.caller import caller
from corvo_server.engine import webhook_rules
from corvo_server.engine.access import check_queue
from corvo_server.engine.audit import audited
from corvo_server.engine.clock import Clock, wall_of
from corvo_server.engine.errors import CallError
from corvo_server.engine.jobs import Jobs
from corvo_server.engine.verbs import Part, verb
from corvo_server.store.protocol import Store
from corvo_server.store.records import Enqueued, Refusal
from corvo_server.store.webhooks import HookChange, HookEdit, SourceRecord
from corvo_server.webhooks.verifying import ID_HEADERS, Signing, is_signed

_FRESH_MS = 500
"""Time for which the sources are kept in memory: a change holds within it on all servers."""
_MAX_DELIVERY_ID = 255


class WebhookSources(Part):
    """Verbs on sources, and the requests of their senders."""

    def __init__(self, store: Store, clock: Clock, jobs: Jobs) -> None:
        self._store = store
        self._clock = clock
        self._wall = wall_of(clock)
        self._jobs = jobs
        self._sources: list[SourceRecord] = []
        self._read_at: int | None = None

    @verb
    async def list_all(self) -> list[SourceRecord]:
        """Return all sources by name."""
        return await self._store.list_sources()

    @verb
    async def create(self, request: WebhookSourceRequest) -> SourceRecord:
        """Create a source. Its requests are accepted at once."""
        check_queue(request.queue, "queue")
        now = self._clock()
        record = SourceRecord(
            name=request.name,
            queue=request.queue,
            form=request.form.value,
            signature_header=request.signature_header,
            id_header=request.id_header,
            tag_headers=request.tag_headers,
            secret=webhook_rules.secret_of(
                request.secret, is_standard=request.form is SignatureForm.STANDARD
            ),
            created_at=now,
            created_by=caller().name,
            updated_at=now,
        )
        rule = partial(webhook_rules.create, record=record, position=0)
        audit = audited(AuditOperation.CREATE_WEBHOOK_SOURCE, now, target=record.name)
        await self._edit(HookEdit(SourceRecord, rule, audit))
        return record

    @verb
    async def rotate(self, name: str, request: RotateSecretRequest) -> SourceRecord:
        """Give a source a new secret. Both secrets are accepted for the grace."""
        forms = {record.name: record.form for record in await self._store.list_sources()}
        is_standard = forms.get(name) == SignatureForm.STANDARD.value
        secret = webhook_rules.secret_of(request.secret, is_standard=is_standard)
        rule: Callable[[SourceRecord], HookChange[SourceRecord]] = partial(
            webhook_rules.rotate, secret=secret, grace=request.grace, now=self._clock()
        )
        outcome = await self._change(name, rule, AuditOperation.ROTATE_WEBHOOK_SOURCE)
        if outcome.after is None:
            raise AssertionError("the change of a source has deleted it")
        return outcome.after

    @verb
    async def delete(self, name: str) -> None:
        """Delete a source. Its jobs stay."""
        await self._change(name, webhook_rules.remove, AuditOperation.DELETE_WEBHOOK_SOURCE)

    @verb
    async def find_sender(
        self, queue: str, headers: Mapping[str, str], body: bytes
    ) -> SourceRecord | None:
        """Return the source of a queue that has signed a request; None without one.

        Names of `headers` are in lower case.
        """
        now, seconds = self._clock(), self._wall() // 1000
        found = None
        for source in await self._fresh(now):
            if source.queue != queue:
                continue
            how = Signing(source.form, source.signature_header, source.secrets(now))
            if is_signed(how, headers, body, seconds):
                found = found or source
        return found

    @verb
    async def receive(
        self, source: SourceRecord, headers: Mapping[str, str], body: bytes
    ) -> Enqueued:
        """Enqueue the job of a signed request. `body` is JSON and becomes its payload.

        Further requests with the same delivery id find that job, also if their body differs.
        """
        job_id = derive_job_id(
            f"webhook/{source.name}/{_delivery_id(source, headers, body)}", source.created_at
        )
        tags = {
            tag: headers[header][:MAX_TAG_VALUE]
            for tag, header in source.tag_headers.items()
            if header in headers
        }
        request = EnqueueRequest.model_validate(
            {"queue": source.queue, "job_id": job_id, "tags": tags}
        )
        try:
            return await self._jobs.enqueue(request, body)
        except CallError as error:
            if error.code is not ErrorCode.INVALID_STATE:
                raise
            return Enqueued(job_id, "duplicate", is_new=False, is_duplicate=True)

    async def _fresh(self, now: int) -> list[SourceRecord]:
        """Return the sources as of at most `_FRESH_MS` ago, so that strangers cause few reads."""
        if self._read_at is None or not 0 <= now - self._read_at < _FRESH_MS:
            self._sources = await self._store.list_sources()
            self._read_at = now
        return self._sources

    async def _change(
        self,
        name: str,
        change: Callable[[SourceRecord], HookChange[SourceRecord]],
        operation: AuditOperation,
    ) -> HookChange[SourceRecord]:
        rule = partial(webhook_rules.edit, kind=SourceRecord, name=name, change=change)
        audit = audited(operation, self._clock(), target=name)
        return await self._edit(HookEdit(SourceRecord, rule, audit))

    async def _edit(self, edit: HookEdit[SourceRecord]) -> HookChange[SourceRecord]:
        outcome = await self._store.edit_webhook(edit)
        if isinstance(outcome, Refusal):
            raise CallError.of(outcome)
        self._read_at = None
        return outcome


def _delivery_id(source: SourceRecord, headers: Mapping[str, str], body: bytes) -> str:
    """Return the id by which a sender's repeats are known. Raise `CallError` without one."""
    header = source.id_header or ID_HEADERS.get(source.form)
    if header is not None:
        value: object = headers.get(header, "")
        place = f"the header {header}"
    else:
        document = orjson.loads(body)
        value = document.get("id", "") if isinstance(document, dict) else ""
        place = "id"
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_DELIVERY_ID:
        expected = f"must be the id of the delivery, of 1 to {_MAX_DELIVERY_ID} characters"
        raise CallError(ErrorCode.VALIDATION_ERROR, f"{place} {expected}.", [(place, expected)])
    return value
