grant usage on schema {schema} to {p}{schema};
grant select, insert, update, delete on all tables in schema {schema} to {p}{schema};
grant usage, select on all sequences in schema {schema} to {p}{schema};
alter default privileges in schema {schema} grant select, insert, update, delete on tables to {p}{schema};
alter default privileges in schema {schema} grant usage, select on sequences to {p}{schema};
