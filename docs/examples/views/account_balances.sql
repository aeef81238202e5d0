-- What each account holds, in minor units such as cents.
--
-- An amount that is no integer from 0 to 10^12 becomes null and is ignored, so that nonsense does not park the view.
create table account_balances (
    account text primary key,
    balance_minor integer not null
) strict, without rowid;

-- on: account.opened
insert into account_balances values (subject(), 0)
    on conflict do nothing;

-- on: account.deposited
insert or ignore into account_balances
    values (subject(), iif(typeof(field('amount')) = 'integer' and field('amount') between 0 and 1000000000000,
                           field('amount'), null))
    on conflict do update set balance_minor = balance_minor + excluded.balance_minor;

-- on: account.withdrew
insert or ignore into account_balances
    values (subject(), iif(typeof(field('amount')) = 'integer' and field('amount') between 0 and 1000000000000,
                           -field('amount'), null))
    on conflict do update set balance_minor = balance_minor + excluded.balance_minor;
