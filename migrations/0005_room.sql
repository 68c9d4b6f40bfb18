-- Rows whose counts change all the time find room in their own page: then no index hears of it.
alter table posts set (fillfactor = 60);
alter table follow_counts set (fillfactor = 60);
