-- A schema with at least one object of nearly every kind that a plain server offers.
CREATE SCHEMA app;
COMMENT ON SCHEMA app IS 'the application';
CREATE SCHEMA "Odd.Name";
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
ALTER TYPE app.mood ADD VALUE 'meh' BEFORE 'ok';
CREATE DOMAIN app.email AS text COLLATE "C" DEFAULT 'x@y' NOT NULL CONSTRAINT has_at CHECK (VALUE LIKE '%@%');
CREATE TYPE app.point3 AS (x float8, y float8, label varchar(10) COLLATE "C");
COMMENT ON COLUMN app.point3.x IS 'across';
CREATE TYPE app.floats AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE app.announced;
CREATE COLLATION app.german (locale = 'C');
CREATE SEQUENCE app.tickets AS integer START 10 INCREMENT 5 MINVALUE 5 MAXVALUE 1000 CACHE 3 CYCLE;
SELECT nextval('app.tickets');
SELECT setval('app.tickets', 35, false);

CREATE TABLE app.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    old int,
    name varchar(80) NOT NULL DEFAULT 'nobody' COLLATE "C",
    email app.email,
    mood app.mood DEFAULT 'ok',
    born timestamptz DEFAULT '2020-01-01 00:00:00+02',
    price numeric(10, 2) CHECK (price > 0) NO INHERIT,
    doubled numeric GENERATED ALWAYS AS (price * 2) STORED,
    notes text,
    tags text[],
    UNIQUE (name, email) INCLUDE (mood) DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE app.users DROP COLUMN old;
ALTER TABLE app.users ALTER name SET STATISTICS 200, ALTER name SET (n_distinct = -0.5);
ALTER TABLE app.users SET (fillfactor = 80, toast.autovacuum_enabled = off);
ALTER TABLE app.users ALTER notes SET COMPRESSION pglz, ALTER notes SET STORAGE EXTERNAL;
COMMENT ON TABLE app.users IS 'people';
COMMENT ON COLUMN app.users.name IS 'as they say it';
CREATE INDEX users_mood ON app.users (mood, lower(name) text_pattern_ops) INCLUDE (price) WHERE price > 3;
ALTER INDEX app.users_mood ALTER COLUMN 2 SET STATISTICS 50;
COMMENT ON INDEX app.users_mood IS 'by mood';
CREATE STATISTICS app.users_stats (dependencies) ON name, mood FROM app.users;
ALTER TABLE app.users CLUSTER ON users_pkey;

CREATE TABLE app.orders (
    id serial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES app.users ON DELETE CASCADE,
    at date NOT NULL DEFAULT current_date,
    span tstzrange,
    EXCLUDE USING gist (span WITH &&)
);
ALTER TABLE app.orders ADD CONSTRAINT positive CHECK (id > 0) NOT VALID;
ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON app.orders AS RESTRICTIVE FOR SELECT USING (user_id = 1);
ALTER TABLE app.orders REPLICA IDENTITY FULL;

CREATE TABLE app.events (id int, at date NOT NULL, kind text, CONSTRAINT kind_known CHECK (kind <> ''),
    PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.events_2023 PARTITION OF app.events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE app.events_2024 PARTITION OF app.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
    PARTITION BY LIST (id);
CREATE TABLE app.events_2024_a PARTITION OF app.events_2024 FOR VALUES IN (2, 3);
CREATE TABLE app.events_rest PARTITION OF app.events DEFAULT;
CREATE INDEX ON app.events (kind);
CREATE TABLE app.marks (id int, event_id int, event_at date,
    FOREIGN KEY (event_id, event_at) REFERENCES app.events) PARTITION BY HASH (id);
CREATE TABLE app.marks_0 PARTITION OF app.marks FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.marks_1 PARTITION OF app.marks FOR VALUES WITH (MODULUS 2, REMAINDER 1);

CREATE TABLE app.base (a int, b text NOT NULL, CONSTRAINT a_small CHECK (a < 100));
CREATE TABLE app.derived (b text DEFAULT 'd', c int) INHERITS (app.base);
CREATE TABLE app.typed OF app.point3;
CREATE UNLOGGED TABLE "Odd.Name"."Tab""le é" ("Col.umn" int, "order" int DEFAULT 1);

CREATE FUNCTION app.add(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE STRICT
    PARALLEL SAFE COST 5 SET work_mem = '1MB' AS 'SELECT a + b';
CREATE FUNCTION app.later(a int) RETURNS int LANGUAGE sql RETURN a + 1;
CREATE FUNCTION app.many() RETURNS TABLE (x int, y text) LANGUAGE plpgsql ROWS 7 SECURITY DEFINER
    AS 'BEGIN RETURN; END';
CREATE PROCEDURE app.work(INOUT a int) LANGUAGE plpgsql AS 'BEGIN a := 1; END';
CREATE AGGREGATE app.total(int) (sfunc = int4pl, stype = int, initcond = '0', sortop = >);
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE OF name ON app.users FOR EACH ROW
    WHEN (OLD.name <> NEW.name) EXECUTE FUNCTION app.touch('x');
CREATE TRIGGER on_event AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE CONSTRAINT TRIGGER checked AFTER INSERT ON app.orders DEFERRABLE
    FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.users DISABLE TRIGGER touched;
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER ddl ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION app.on_ddl();
ALTER EVENT TRIGGER ddl DISABLE;

CREATE VIEW app.happy WITH (security_barrier) AS SELECT id, name FROM app.users WHERE mood = 'happy'
    WITH LOCAL CHECK OPTION;
ALTER VIEW app.happy ALTER COLUMN name SET DEFAULT 'joy';
COMMENT ON COLUMN app.happy.name IS 'of a happy one';
CREATE MATERIALIZED VIEW app.summary AS SELECT mood, count(*) AS n FROM app.users GROUP BY mood;
CREATE UNIQUE INDEX ON app.summary (mood);
CREATE MATERIALIZED VIEW app.unready AS SELECT 1 AS one WITH NO DATA;
CREATE RULE no_delete AS ON DELETE TO app.base DO INSTEAD NOTHING;

CREATE FUNCTION app.to_mood(int) RETURNS app.mood LANGUAGE sql AS 'SELECT ''ok''::app.mood';
CREATE CAST (int AS app.mood) WITH FUNCTION app.to_mood(int) AS ASSIGNMENT;
CREATE OPERATOR app.<+> (FUNCTION = app.add, LEFTARG = int, RIGHTARG = int, COMMUTATOR = OPERATOR(app.<+>));
CREATE OPERATOR FAMILY app.fam USING btree;
CREATE OPERATOR CLASS app.ints FOR TYPE int USING btree FAMILY app.fam AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
CREATE TEXT SEARCH DICTIONARY app.words (TEMPLATE = pg_catalog.simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION app.search (COPY = pg_catalog.english);
ALTER TEXT SEARCH CONFIGURATION app.search ALTER MAPPING FOR asciiword WITH app.words, english_stem;
CREATE CONVERSION app.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;

CREATE FOREIGN DATA WRAPPER nothing OPTIONS (debug 'true');
CREATE SERVER away TYPE 't' VERSION '1' FOREIGN DATA WRAPPER nothing OPTIONS (host 'h');
CREATE USER MAPPING FOR PUBLIC SERVER away OPTIONS (password 'hush');
CREATE FOREIGN TABLE app.remote (a int OPTIONS (col 'A') NOT NULL) SERVER away OPTIONS (tab 'T');
CREATE PUBLICATION part FOR TABLE app.users, app.base WITH (publish = 'insert, update');
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT SELECT ON app.users TO PUBLIC;
GRANT UPDATE (name) ON app.users TO PUBLIC;
GRANT USAGE ON SCHEMA app TO PUBLIC;
INSERT INTO app.users (name, email, price) VALUES ('a', 'a@b', 1), ('b', 'b@b', 2);
INSERT INTO app.events VALUES (1, '2023-05-05', 'a'), (2, '2024-05-05', 'b'), (3, '2030-01-01', 'c');
REFRESH MATERIALIZED VIEW app.summary;
