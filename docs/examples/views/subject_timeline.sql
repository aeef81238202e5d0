-- What happened to each subject, in order: the last 20 events of every one.
create table subject_timeline (
    subject text not null,
    event_id integer not null,
    type text not null,
    source text not null,
    accepted_at integer not null,
    data text not null,
    primary key (subject, event_id)
) strict, without rowid;

-- on: *
insert into subject_timeline
    values (subject(), event_id(), type(), source(), accepted_at(), data());
delete from subject_timeline
    where subject = subject()
      and event_id <= (select event_id from subject_timeline
                       where subject = subject() order by event_id desc limit 1 offset 20);
