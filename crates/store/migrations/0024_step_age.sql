-- no-transaction
-- Steps of applied operations go by age; the operations stay, so that looking from those reads ever more of them. Writers go on.
create index concurrently if not exists step_age on effects.effect_step (updated_at) where state = 'confirmed';
