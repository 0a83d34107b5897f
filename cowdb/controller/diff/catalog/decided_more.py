"""The other half of the table in `decided`: routines, links to elsewhere, the whole server."""

from __future__ import annotations

DECIDED_MORE = """
pg_aggregate: aggregate
    aggfnoid ~ the function's name
    aggkind = type
    aggnumdirectargs = direct_arguments
    aggtransfn = transition
    aggfinalfn = final
    aggcombinefn = combine
    aggserialfn = serialize
    aggdeserialfn = deserialize
    aggmtransfn = moving_transition
    aggminvtransfn = moving_inverse
    aggmfinalfn = moving_final
    aggfinalextra = final_extra
    aggmfinalextra = moving_final_extra
    aggfinalmodify = final_modify
    aggmfinalmodify = moving_final_modify
    aggsortop = sort_operator
    aggtranstype = state_type
    aggtransspace = state_size
    aggmtranstype = moving_state_type
    aggmtransspace = moving_state_size
    agginitval = initial_value
    aggminitval = moving_initial_value

pg_am: access method, table, materialized view, operator class, operator family
    amname = name, access_method
    amhandler = handler
    amtype = type

pg_amop: operator family, operator class
    amopfamily amopmethod ~ the family's name
    amoplefttype amoprighttype ~ the operator's own types
    amopstrategy amoppurpose amopopr amopsortfamily = operators, members

pg_amproc: operator family, operator class
    amprocfamily ~ the family's name
    amproclefttype amprocrighttype amprocnum amproc = functions, members

pg_auth_members: role membership
    roleid member = name
    grantor = name, grantor
    admin_option = admin
    inherit_option = inherit
    set_option = set

pg_authid: role
    oid = bootstrap
    rolname = name
    rolsuper = superuser
    rolinherit = inherit
    rolcreaterole = create_role
    rolcreatedb = create_db
    rolcanlogin = login
    rolreplication = replication
    rolbypassrls = bypass_rls
    rolconnlimit = connection_limit
    rolpassword = password
    rolvaliduntil = valid_until

pg_cast: cast
    castsource casttarget = name
    castfunc = function
    castcontext = context
    castmethod = method

pg_collation: collation
    collname collnamespace = name
    collowner = owner
    collprovider = provider
    collisdeterministic = deterministic
    collencoding ~ the database's encoding
    collcollate colliculocale colllocale = locale
    collctype = ctype
    collicurules = rules
    collversion - the operating system's, when it was made

pg_conversion: conversion
    conname connamespace = name
    conowner = owner
    conforencoding = source
    contoencoding = target
    conproc = function
    condefault = is_default

pg_database: database
    datname - two sides may well have different names
    datdba = owner
    encoding = encoding
    datcollate = collation
    datctype = ctype
    datlocprovider = provider
    datlocale daticulocale = locale
    daticurules = rules
    datistemplate = is_template
    datallowconn - true of every database that can be compared
    datconnlimit = connection_limit
    dathasloginevt ~ its event triggers
    datlastsysoid - the server's own
    datfrozenxid datminmxid - the age of transactions
    datcollversion - the operating system's, when it was made
    dattablespace = tablespace
    datacl = privileges

pg_db_role_setting: database, role setting
    setdatabase ~ under which of the two it is told
    setrole = name, settings
    setconfig = settings, setting

pg_event_trigger: event trigger
    evtname = name
    evtevent = event
    evtowner = owner
    evtfoid = function
    evtenabled = enabled
    evttags = tags

pg_extension: extension, table
    extname = name, extension
    extowner = owner
    extnamespace = schema
    extrelocatable = relocatable
    extversion = version
    extconfig extcondition = configuration_tables

pg_foreign_data_wrapper: foreign data wrapper
    fdwname = name
    fdwowner = owner
    fdwhandler = handler
    fdwvalidator = validator
    fdwacl = privileges
    fdwoptions = options

pg_foreign_server: foreign server, foreign table
    srvname = name, server
    srvowner = owner
    srvfdw = wrapper
    srvtype = type
    srvversion = version
    srvacl = privileges
    srvoptions = options

pg_language: language, function
    lanname = name, language
    lanowner = owner
    lanispl ~ handler
    lanpltrusted = trusted
    lanplcallfoid = handler
    laninline = inline
    lanvalidator = validator
    lanacl = privileges

pg_largeobject: large object
    loid pageno data - contents; named under not_compared

pg_largeobject_metadata: large object
    oid = name, count, digest
    lomowner = owner, digest
    lomacl = privileges, digest

pg_namespace: schema
    nspname = name
    nspowner = owner
    nspacl = privileges

pg_opclass: operator class
    opcmethod opcname opcnamespace = name
    opcowner = owner
    opcfamily = family
    opcintype = type
    opcdefault = is_default
    opckeytype = storage

pg_operator: operator
    oprname oprnamespace oprleft oprright = name
    oprowner = owner
    oprkind ~ the name has no left type
    oprcanmerge = merges
    oprcanhash = hashes
    oprresult = result
    oprcom = commutator
    oprnegate = negator
    oprcode = function
    oprrest = restrict
    oprjoin = join

pg_opfamily: operator family
    opfmethod opfname opfnamespace = name
    opfowner = owner

pg_parameter_acl: parameter
    parname = name
    paracl = privileges

pg_proc: function, procedure, window function, aggregate, system object
    proname pronamespace = name
    proowner = owner
    prolang = language
    procost = cost
    prorows = rows
    provariadic pronargs pronargdefaults ~ arguments
    prosupport = support
    prokind = kind
    prosecdef = security_definer
    proleakproof = leakproof
    proisstrict = strict
    proretset prorettype = result
    provolatile = volatility
    proparallel = parallel
    proargtypes = name, arguments
    proallargtypes proargmodes proargnames proargdefaults = arguments
    protrftypes = transforms
    prosrc prosqlbody = body
    probin = library
    proconfig = settings
    proacl = privileges

pg_replication_origin: replication origin
    roident - differs from load to load
    roname = name

pg_shdepend:
    dbid classid objid objsubid refclassid refobjid deptype ~ owners, privileges and tablespaces

pg_shdescription: *
    objoid classoid ~ the object that it is told with
    description = comment

pg_shseclabel: security label
    objoid classoid provider = name
    label = label

pg_tablespace: tablespace, table, materialized view, index, database
    spcname = name, tablespace
    spcowner = owner
    spcacl = privileges
    spcoptions = options

pg_transform: transform
    trftype trflang = name
    trffromsql = from_sql
    trftosql = to_sql

pg_ts_config: text search configuration
    cfgname cfgnamespace = name
    cfgowner = owner
    cfgparser = parser

pg_ts_config_map: text search configuration
    mapcfg ~ the configuration's name
    maptokentype mapseqno mapdict = mappings

pg_ts_dict: text search dictionary
    dictname dictnamespace = name
    dictowner = owner
    dicttemplate = template
    dictinitoption = options

pg_ts_parser: text search parser
    prsname prsnamespace = name
    prsstart = start
    prstoken = token
    prsend = end
    prsheadline = headline
    prslextype = types

pg_ts_template: text search template
    tmplname tmplnamespace = name
    tmplinit = init
    tmpllexize = lexize

pg_user_mapping: user mapping
    umuser umserver = name
    umoptions = options
"""
