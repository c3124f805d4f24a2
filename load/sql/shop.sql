-- The shop that Kontor's writes are compared with: what a careful team would write by hand for
-- "take this from the shelf, exactly once, and tell others about it" on one PostgreSQL server.

create table stock (
    sku      text   not null,
    location text   not null,
    on_hand  bigint not null check (on_hand >= 0),
    primary key (sku, location)
);

-- What was done and can be read by others in order; its event is also the answer to the caller.
create table feed (
    position    bigint      primary key,
    recorded_at timestamptz not null default now(),
    event       jsonb       not null
);
create sequence feed_position cache 1;

-- One row per request that took effect, with a digest of its body.
create table idempotency (
    key        text        primary key,
    request    bytea       not null,
    position   bigint      not null,
    created_at timestamptz not null default now()
);

-- Takes all lines or none. A repeat of a request gets the first one's answer; another request under
-- the same key is told so. Lines are taken in the order of their keys, so that no two requests wait
-- for each other.
create function issue_stock(
    in  wanted_key  text,
    in  digest      bytea,
    in  reference   text,
    in  skus        text[],
    in  locations   text[],
    in  quantities  bigint[],
    out outcome     text,
    out answer      text
) language plpgsql as $$
declare
    here      bigint := nextval('feed_position');
    movements jsonb  := '[]';
    line      record;
    left_over bigint;
    earlier   record;
begin
    insert into idempotency (key, request, position) values (wanted_key, digest, here)
        on conflict (key) do nothing;
    if not found then
        select i.request, f.event into strict earlier
            from idempotency i join feed f using (position) where i.key = wanted_key;
        outcome := case when earlier.request = digest then 'replayed' else 'key_reused' end;
        answer := earlier.event::text;
        return;
    end if;

    for line in
        select * from unnest(skus, locations, quantities) as l (sku, location, quantity)
        order by sku, location
    loop
        update stock set on_hand = on_hand - line.quantity
            where sku = line.sku and location = line.location and on_hand >= line.quantity
            returning on_hand into left_over;
        if not found then
            raise exception using errcode = 'KS409', message = 'insufficient_stock',
                detail = jsonb_build_object('sku', line.sku, 'location', line.location)::text;
        end if;
        movements := movements || jsonb_build_object(
            'kind', 'issue', 'sku', line.sku, 'location', line.location,
            'quantity', -line.quantity, 'on_hand_after', left_over, 'reference', reference);
    end loop;

    insert into feed (position, event)
        values (here, jsonb_build_object('movements', movements, 'position', here))
        returning event::text into answer;
    outcome := 'issued';
end
$$;
