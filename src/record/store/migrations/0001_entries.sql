-- The record: one row for each change, never updated, never deleted. What was said, labels and references lie in `payload`
-- alone, which is sealed; no other column may hold them.
CREATE TABLE entry (
    position        INTEGER PRIMARY KEY,            -- order over all hearings
    hearing         BLOB    NOT NULL CHECK (length(hearing) = 16),
    seq             INTEGER NOT NULL CHECK (seq >= 1),
    kind            TEXT    NOT NULL,
    channel         INTEGER CHECK (channel BETWEEN 1 AND 16),
    at              TEXT    NOT NULL,               -- RFC 3339, UTC
    actor_kind      TEXT    NOT NULL,
    actor           TEXT    NOT NULL CHECK (length(actor) > 0),
    purpose         TEXT    NOT NULL,
    payload_version INTEGER NOT NULL,
    cipher          INTEGER NOT NULL,               -- 0: none
    key_id          BLOB    NOT NULL CHECK (length(key_id) = 16),
    nonce           BLOB    NOT NULL,
    payload         BLOB    NOT NULL,
    UNIQUE (hearing, seq)
) STRICT;

CREATE INDEX entry_kind ON entry (kind, hearing, channel, seq);

CREATE TRIGGER entry_is_never_updated BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END;

CREATE TRIGGER entry_is_never_deleted BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'the record is append-only'); END;
