"""The table that `decisions` reads: every column of every system catalog of Postgres 14 to 18.

A block is a catalog with the kinds of objects that it is told under, `*` for every kind.
`column = property` is compared, `column ~ why` is told by other properties, `column - why` is not
compared. An `oid` without a line of its own differs from load to load. Here is what tables, types
and their parts are made of, and what speaks of every kind; the rest is in `decided_more`.
"""

from __future__ import annotations

DECIDED = """
pg_attrdef: column
    adrelid adnum ~ the column's name
    adbin = default, generated

pg_attribute: column, table, view, composite type, index, system object
    attrelid ~ the table's name
    attname = name, column_order, attributes, columns
    atttypid atttypmod = type, attributes, columns
    attstattarget = statistics
    attlen attbyval attalign ~ the type
    attnum = column_order
    attndims - the server ignores it, and a dump does not keep it
    attcacheoff - in memory only
    attstorage = storage
    attcompression = compression
    attnotnull = not_null
    atthasdef ~ default
    atthasmissing attmissingval - how rows older than the column are stored; their values are rows
    attidentity = identity
    attgenerated = generated
    attisdropped - the place of a column that is gone
    attislocal = inherited
    attinhcount ~ inherited, and what the table inherits
    attcollation = collation, attributes
    attacl = privileges
    attoptions = options
    attfdwoptions = server_options

pg_class: table, foreign table, view, materialized view, sequence, index, composite type, column
    oid reltype relfilenode reltoastrelid - differs from load to load
    relname relnamespace = name
    reloftype = of_type
    relowner = owner
    relam = access_method, definition
    reltablespace = tablespace
    relpages reltuples relallvisible relallfrozen - what vacuum and analyze last saw
    relhasindex relnatts relchecks relhasrules relhastriggers relhassubclass ~ what it counts
    relisshared - the server's own catalogs only
    relpersistence = persistence
    relkind = kind
    relrowsecurity = row_security
    relforcerowsecurity = force_row_security
    relispopulated = populated
    relreplident = replica_identity
    relispartition = partition_of
    relrewrite - while a table is rewritten
    relfrozenxid relminmxid - the age of transactions
    relacl = privileges
    reloptions = options, toast_options
    relpartbound = partition_bound

pg_constraint: constraint, domain constraint, column, domain, index, trigger
    conname = name, not_null_constraint, constraint
    connamespace conrelid contypid ~ the table's name or the domain's
    contype = type
    condeferrable = deferrable
    condeferred = deferred
    conenforced = enforced
    convalidated = validated
    conindid ~ the index that has its name
    conparentid coninhcount ~ inherited, and the parent's constraint
    confrelid confupdtype confdeltype confmatchtype confdelsetcols = definition
    conislocal = inherited
    connoinherit = definition, not_null_constraint
    conperiod conkey confkey conexclop conbin = definition
    conpfeqop conppeqop conffeqop ~ the types of the columns

pg_default_acl: default privileges
    defaclrole defaclnamespace defaclobjtype = name
    defaclacl = privileges

pg_depend: *
    classid objid objsubid refclassid refobjid refobjsubid ~ see deptype
    deptype = extension, depends_on_extensions, owned_by, members

pg_description: *
    objoid classoid objsubid ~ the object that it is told with
    description = comment, attribute_comments, constraint_comment, not_null_constraint

pg_enum: enum
    oid enumtypid - differs from load to load
    enumsortorder enumlabel = labels

pg_foreign_table: foreign table
    ftrelid ~ the table's name
    ftserver = server
    ftoptions = server_options

pg_index: index, constraint, table, materialized view
    indexrelid indrelid ~ the index's name and its table's
    indnatts indnkeyatts indkey indcollation indclass indoption indexprs indpred = definition
    indnullsnotdistinct indisexclusion = definition
    indisunique = unique
    indisprimary = primary
    indimmediate ~ deferrable
    indisclustered = clustered
    indisvalid = valid
    indcheckxmin - until old transactions are over
    indisready = ready
    indislive = live
    indisreplident = replica_identity

pg_inherits: table, index
    inhrelid ~ the table's name
    inhparent = inherits, partition_of
    inhseqno = inherits
    inhdetachpending = detach_pending

pg_init_privs: system object
    objoid classoid objsubid privtype ~ the object that it is told with
    initprivs = privileges

pg_partitioned_table: table
    partrelid ~ the table's name
    partstrat partnatts partattrs partclass partcollation partexprs = partition_key
    partdefid ~ partition_bound of the default partition

pg_policy: policy
    polname polrelid = name
    polcmd = command
    polpermissive = permissive
    polroles = roles
    polqual = using
    polwithcheck = check

pg_publication: publication
    pubname = name
    pubowner = owner
    puballtables = all_tables
    pubinsert pubupdate pubdelete pubtruncate = publishes
    pubviaroot = via_root
    pubgencols = generated_columns

pg_publication_namespace: publication
    pnpubid ~ the publication's name
    pnnspid = schemas

pg_publication_rel: publication
    prpubid ~ the publication's name
    prrelid prqual prattrs = tables

pg_range: range type, system object
    rngtypid ~ the type's name
    rngsubtype = subtype
    rngmultitypid = multirange
    rngcollation = collation
    rngsubopc = operator_class
    rngcanonical = canonical
    rngsubdiff = difference

pg_rewrite: rule, view
    rulename ev_class = name
    ev_type is_instead ev_qual ev_action = definition
    ev_enabled = enabled

pg_seclabel: security label
    objoid classoid objsubid provider = name
    label = label

pg_sequence: sequence
    seqrelid ~ the sequence's name
    seqtypid = type
    seqstart = start
    seqincrement = increment
    seqmax = maximum
    seqmin = minimum
    seqcache = cache
    seqcycle = cycle

pg_statistic:
    starelid staattnum stainherit stanullfrac stawidth stadistinct - gathered by analyze
    stakind1 stakind2 stakind3 stakind4 stakind5 - gathered by analyze
    staop1 staop2 staop3 staop4 staop5 - gathered by analyze
    stacoll1 stacoll2 stacoll3 stacoll4 stacoll5 - gathered by analyze
    stanumbers1 stanumbers2 stanumbers3 stanumbers4 stanumbers5 - gathered by analyze
    stavalues1 stavalues2 stavalues3 stavalues4 stavalues5 - gathered by analyze

pg_statistic_ext: statistics
    stxname stxnamespace = name
    stxrelid stxkeys stxkind stxexprs = definition
    stxowner = owner
    stxstattarget = target

pg_statistic_ext_data:
    stxoid stxdinherit stxdndistinct stxddependencies stxdmcv stxdexpr - gathered by analyze

pg_subscription: subscription
    subdbid ~ told in its own database only
    subname = name
    subowner = owner
    subenabled = enabled
    subbinary = binary
    substream = streaming
    subtwophasestate = two_phase
    subdisableonerr = disable_on_error
    subpasswordrequired = password_required
    subrunasowner = run_as_owner
    subfailover = failover
    subconninfo = connection
    subslotname = slot
    subsynccommit = synchronous_commit
    subpublications = publications
    suborigin = origin
    subskiplsn = skip_lsn

pg_subscription_rel:
    srsubid srrelid srsubstate srsublsn - how far each table has been copied

pg_trigger: trigger, constraint
    tgrelid tgname = name
    tgparentid ~ the parent's trigger of the same name
    tgfoid tgtype tgconstrrelid tgdeferrable tginitdeferred = definition
    tgnargs tgattr tgargs tgqual tgoldtable tgnewtable = definition
    tgenabled = enabled, enforcement
    tgisinternal tgconstrindid tgconstraint ~ the constraint that made it

pg_type: base type, enum, domain, composite type, range type, system object
    oid typrelid typarray - differs from load to load
    typname typnamespace = name
    typowner = owner
    typlen = length
    typbyval = by_value
    typtype = kind
    typcategory = category
    typispreferred = preferred
    typisdefined = defined
    typdelim = delimiter
    typsubscript = subscript
    typelem = element
    typinput = input
    typoutput = output
    typreceive = receive
    typsend = send
    typmodin = modifier_input
    typmodout = modifier_output
    typanalyze = analyze
    typalign = alignment
    typstorage = storage
    typnotnull = not_null
    typbasetype typtypmod = type
    typndims - the server ignores it, and a dump does not keep it
    typcollation = collation, collatable
    typdefaultbin typdefault = default
    typacl = privileges
"""
